// What every page has: tables that sort, texts that copy. The page reads the same without it.
"use strict";
document.documentElement.classList.add("js");
for (const part of document.querySelectorAll("[data-js]")) part.hidden = false;

// A cell sorts by its first number; what has none, or is a dash, comes last.
function sortKey(cell) {
  const text = cell.textContent.replaceAll("−", "-").replaceAll("\u00a0", " ").trim();
  const number = text.match(/[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?/);
  return { text, number: number ? Number(number[0]) : NaN, none: text === "–" || text === "" };
}

function compareCells(a, b, numeric) {
  if (a.none || b.none) return { last: a.none - b.none, order: 0 };
  if (numeric) return { last: isNaN(a.number) - isNaN(b.number), order: (a.number - b.number) || 0 };
  return { last: 0, order: a.text.localeCompare(b.text, undefined, { numeric: true }) };
}

function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: sortKey(row.cells[column]) }));
  const there = rows.filter(({ key }) => !key.none);
  const numeric = there.length > 0 && there.every(({ key }) => /^[<>≥≤]?\s*[+-]?\d/.test(key.text));
  rows.sort((a, b) => {
    const { last, order } = compareCells(a.key, b.key, numeric);
    return last || (descending ? -order : order);
  });
  body.append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortTable(table, column, descending);
    });
  });
}

// A button copies the text of the element that it names, and says that it did.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const said = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.replace(/[ \t\n]+/g, " ").trim());
      button.textContent = "Copied";
    } catch {
      // No clipboard for this page: the text is selected, to be copied by hand.
      source.hidden = false;
      getSelection().selectAllChildren(source);
      button.textContent = "Selected: copy it";
    }
    setTimeout(() => { button.textContent = said; }, 2000);
  });
}
