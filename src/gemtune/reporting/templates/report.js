"use strict";
// Text reaches the page through textContent only: nothing of it can become markup.
(() => {
  const PAGE_ROWS = 50;
  const GAIN = 1;
  const FIRST_TEXT = 4;
  const LABELS = ["row", "change", "base", "tuned", "input", "reference", "base", "tuned"];

  function openForPrint() {
    const opened = [];
    addEventListener("beforeprint", () => {
      for (const details of document.querySelectorAll("details:not([open])")) {
        details.open = true;
        opened.push(details);
      }
    });
    addEventListener("afterprint", () => {
      for (const details of opened.splice(0)) details.open = false;
    });
  }

  function startTable(table) {
    const rows = JSON.parse(document.getElementById("rows-data").textContent);
    const body = table.tBodies[0];
    const digits = Number(body.dataset.digits);
    const heads = [...table.querySelectorAll("thead button")];
    const find = (id) => document.getElementById(id);
    const filter = find("filter");
    const outcome = find("outcome");
    const searched = rows.map((row) => [row[0], ...row.slice(FIRST_TEXT)].join("\n").toLowerCase());
    const order = new Intl.Collator(undefined, { numeric: true });
    let shown = rows.map((_, index) => index);
    let sorting = { column: GAIN, direction: 1 };
    let page = 0;

    function figure(value, isSigned) {
      const text = Math.abs(value).toFixed(digits);
      if (!Number(text)) return text;
      return (value < 0 ? "\u2212" : isSigned ? "+" : "") + text;
    }

    function outcomeOf(row) {
      return row[GAIN] > 0 ? "better" : row[GAIN] < 0 ? "worse" : "equal";
    }

    function cell(row, column) {
      const isHead = column === 0;
      const node = document.createElement(isHead ? "th" : "td");
      node.setAttribute("role", isHead ? "rowheader" : "cell");
      if (isHead) {
        node.scope = "row";
        node.dir = "auto";
        node.textContent = row[0];
        return node;
      }
      node.dataset.label = LABELS[column];
      if (column < FIRST_TEXT) {
        node.textContent = figure(row[column], column === GAIN);
        if (column === GAIN) node.className = outcomeOf(row);
        return node;
      }
      const text = document.createElement("div");
      text.className = "text";
      text.dir = "auto";
      text.textContent = row[column];
      node.append(text);
      return node;
    }

    function tableRow(row) {
      const node = document.createElement("tr");
      node.setAttribute("role", "row");
      node.append(...row.map((_, column) => cell(row, column)));
      return node;
    }

    function draw() {
      const pages = Math.max(1, Math.ceil(shown.length / PAGE_ROWS));
      page = Math.min(Math.max(page, 0), pages - 1);
      const first = page * PAGE_ROWS;
      const part = shown.slice(first, first + PAGE_ROWS);
      body.replaceChildren(...part.map((index) => tableRow(rows[index])));
      tell(first, part.length, pages);
    }

    function tell(first, length, pages) {
      const all = rows.length.toLocaleString("en");
      const matching = shown.length.toLocaleString("en");
      find("status").textContent =
        shown.length === rows.length ? `${all} rows` : `${matching} of ${all} rows`;
      find("where").textContent = length
        ? `${(first + 1).toLocaleString("en")}\u2013${(first + length).toLocaleString("en")} of ${matching}`
        : "no row";
      find("previous").disabled = page === 0;
      find("next").disabled = page === pages - 1;
      find("pager").hidden = pages === 1;
    }

    function choose() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = outcome.value;
      shown = rows
        .map((_, index) => index)
        .filter(
          (index) =>
            (!wanted || outcomeOf(rows[index]) === wanted) &&
            words.every((word) => searched[index].includes(word)),
        );
      const { column, direction } = sorting;
      shown.sort((a, b) => {
        const [left, right] = [rows[a][column], rows[b][column]];
        const found = typeof left === "number" ? left - right : order.compare(left, right);
        return direction * found || a - b;
      });
      page = 0;
      draw();
    }

    function sortBy(button) {
      const column = Number(button.dataset.column);
      const direction = sorting.column === column ? -sorting.direction : 1;
      sorting = { column, direction };
      for (const other of heads) other.parentElement.removeAttribute("aria-sort");
      button.parentElement.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      choose();
    }

    function turn(by) {
      page += by;
      draw();
      table.scrollIntoView({ block: "start" });
    }

    let waiting;
    filter.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(choose, 120);
    });
    outcome.addEventListener("change", choose);
    find("previous").addEventListener("click", () => turn(-1));
    find("next").addEventListener("click", () => turn(1));
    for (const button of heads) {
      button.disabled = false;
      button.addEventListener("click", () => sortBy(button));
    }
    find("controls").hidden = false;
    tell(0, body.rows.length, Math.max(1, Math.ceil(rows.length / PAGE_ROWS)));
  }

  openForPrint();
  // A narrow screen shows the decision before the contents.
  if (matchMedia("(max-width: 63.99rem)").matches) {
    document.querySelector(".contents details").open = false;
  }
  const table = document.getElementById("rows-table");
  if (table) startTable(table);
})();
