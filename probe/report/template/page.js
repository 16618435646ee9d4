"use strict";

/** Compare two cells: numbers before words, numbers within words by size, empty cells last. */
function compare(a, b, descending) {
  const none = (a === "") - (b === "");
  if (none !== 0) return none;
  const x = Number(a), y = Number(b);
  const kinds = Number.isNaN(x) - Number.isNaN(y);
  if (kinds !== 0) return kinds;
  const order = Number.isNaN(x) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
  return descending ? -order : order;
}

/** Sort a table's rows by a column; equal rows keep their order. */
function sortRows(table, column, descending) {
  const body = table.tBodies[0];
  const key = (row) => row.cells[column].dataset.value;
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b), descending)));
}

/** Turn the heads of a sortable table into buttons. */
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortRows(table, column, descending);
    });
  });
}

/** Unfold everything for printing, and the target of a link. */
function unfold() {
  const folded = [];
  addEventListener("beforeprint", () => {
    folded.push(...document.querySelectorAll("details:not([open])"));
    folded.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => {
    folded.splice(0).forEach((details) => { details.open = false; });
  });
  const reach = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.closest("details");
    if (details) details.open = true;
  };
  addEventListener("hashchange", reach);
  reach();
}

if (typeof document !== "undefined") {
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  unfold();
}
