(() => {
  // Rows are moved, never written: nothing of them can become markup.
  const order = new Intl.Collator(undefined, { numeric: true });

  function compare(left, right) {
    if (left === "" || right === "") return (left === "") - (right === "");
    const [a, b] = [Number(left), Number(right)];
    return Number.isNaN(a) || Number.isNaN(b) ? order.compare(left, right) : a - b;
  }

  function startSorting(table) {
    const body = table.tBodies[0];
    const heads = [...table.querySelectorAll("thead th")];
    const rows = [...body.rows];
    const value = (row, column) => {
      const cell = row.cells[column];
      const text = cell.dataset.sort ?? cell.textContent.trim();
      return text === "\u2013" ? "" : text;
    };

    function sortBy(column) {
      const head = heads[column];
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const sorted = rows.map((row, index) => ({ row, index, text: value(row, column) }));
      sorted.sort((a, b) => {
        const isEmpty = a.text === "" || b.text === "";
        return (isEmpty ? 1 : sign) * compare(a.text, b.text) || a.index - b.index;
      });
      body.append(...sorted.map(({ row }) => row));
    }

    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      button.disabled = false;
      button.addEventListener("click", () => sortBy(column));
    });
  }

  function startCopying(button) {
    const source = document.getElementById(button.dataset.copies);
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // Without the permission, what is selected can be copied by hand.
        getSelection().selectAllChildren(source);
        button.textContent = "Selected: press Ctrl+C";
      }
    });
  }

  document.querySelectorAll("table.sortable").forEach(startSorting);
  document.querySelectorAll("button[data-copies]").forEach(startCopying);
})();
