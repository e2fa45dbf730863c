// Tables of class "sortable": a click on a heading sorts by that column, a second one turns it
// round, and a field above the table shows only the rows that contain its words.

const value = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
};

const compare = (a, b) => {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // what has no number is last
  return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
};

function sort(table, heading) {
  const ascending = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.sort((a, b) => {
    const [x, y] = [value(a, heading.cellIndex), value(b, heading.cellIndex)];
    return typeof x === typeof y && !ascending ? compare(y, x) : compare(x, y);
  });
  body.append(...rows);
}

function addFilter(table) {
  const rows = [...table.tBodies[0].rows];
  const label = document.createElement("label");
  const field = document.createElement("input");
  const count = document.createElement("output");
  label.className = "filter";
  field.type = "search";
  field.placeholder = "words that a row must contain";
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} ${table.dataset.name}`;
  };
  field.addEventListener("input", show);
  label.append("Filter ", field, count);
  table.parentElement.before(label);
  show();
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading));
    heading.append(button);
  }
  if (table.tBodies[0].rows.length > 8) addFilter(table);
}
