// The page "All runs": search and sort its table. Nothing happens on other pages.
document.addEventListener("DOMContentLoaded", () => {
  const table = document.getElementById("runs-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const search = document.getElementById("runs-search");
  const count = document.getElementById("runs-count");

  // A row stays if it holds every word that was typed.
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} runs` : `${rows.length} runs`;
  };
  search.addEventListener("input", filter);
  filter(); // a browser keeps what was typed when one comes back

  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.firstChild.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].textContent.replace(/,/g, "");
      const order = (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
      rows.sort((a, b) => (up ? order(a, b) : order(b, a)));
      body.append(...rows);
    });
  });
});
