"""The report: one page that shows what a comparison proved, for people who were not there."""
