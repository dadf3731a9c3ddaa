"""Write the sample task to data/training_data: `python scripts/make_sample_data.py`."""

from pathlib import Path

from gemtune.data.sample_task import write_sample_data

FOLDER = Path(__file__).parents[1] / "data" / "training_data"

if __name__ == "__main__":
    for path in write_sample_data(FOLDER):
        print(path)
