/** Return the tokens that a search field names, as they are compared. */
function wanted(field) {
  return field.value.split(" ").filter(Boolean).map((each) => each.toLowerCase());
}

/** Say whether a unit has one of a role's tokens for every word that is wanted. */
function has(words, tokens, labels) {
  return words.every((each) => tokens.some((token) => labels[token][1] === each || labels[token][0] === each));
}

/** Compare by a number, units without it last; equal ones in their order. */
function by(key, sign) {
  return (a, b) => {
    const x = key(a), y = key(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (x - y);
  };
}

/** Return the units that a form asks for, in the order that it asks for. */
function search(form, data) {
  const activating = wanted(form.activating), context = wanted(form.context);
  const least = form.f1.value === "" ? null : Number(form.f1.value);
  const layer = form.layer.value === "" ? null : Number(form.layer.value);
  const found = data.units.filter((unit) =>
    has(activating, unit.activating, data.labels) && has(context, unit.context, data.labels) &&
    (least === null || (unit.f1 !== null && unit.f1 >= least)) &&
    (layer === null || unit.layer === layer) && (!form.several.checked || unit.pieces > 1));
  const orders = {
    f1: by((unit) => unit.f1, -1), worst: by((unit) => unit.f1, 1), unit: () => 0,
    repeats: by((unit) => unit.repeats, -1),
  };
  return found.sort(orders[form.by.value]);
}

/** Make a cell of plain text. */
function cell(text, kind) {
  const made = document.createElement("td");
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** Make the row of a unit, with a link if it has a page. */
function rowOf(unit, labels) {
  const row = document.createElement("tr"), head = document.createElement("th");
  head.scope = "row";
  if (unit.page) {
    const link = document.createElement("a");
    link.href = unit.page;
    link.textContent = unit.unit;
    head.append(link);
  } else {
    head.textContent = unit.unit;
  }
  const number = (value) => (value === null ? "–" : value.toFixed(2));
  const words = (tokens) => tokens.slice(0, 12).map((token) => labels[token][0]).join(" ") + (tokens.length > 12 ? " …" : "");
  row.append(head, cell(number(unit.f1), "number"), cell(number(unit.token_f1), "number"));
  row.append(unit.reason && !unit.activating.length ? cell(unit.reason, "reason") : cell(words(unit.activating)), cell(words(unit.context)));
  return row;
}

/** Show what the form asks for, now and whenever it changes. */
function gallery(form, data) {
  const most = 200, body = document.querySelector("#units tbody"), count = document.getElementById("count");
  const show = () => {
    const found = search(form.elements, data);
    body.replaceChildren(...found.slice(0, most).map((unit) => rowOf(unit, data.labels)));
    count.textContent = `${found.length} of ${data.units.length} units` + (found.length > most ? `, the first ${most} are shown` : "");
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
}

if (typeof document !== "undefined" && document.getElementById("data")) {
  gallery(document.getElementById("search"), JSON.parse(document.getElementById("data").textContent));
}
