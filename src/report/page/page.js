'use strict';
// Headings sort, words filter, points and rows of one network light up together. Without scripts everything is still there.
for (const table of document.querySelectorAll('table.ranked')) {
  const body = table.tBodies[0];
  table.querySelectorAll('thead button').forEach((button, column) => {
    button.addEventListener('click', () => {
      const head = button.closest('th');
      const up = head.getAttribute('aria-sort') !== 'ascending';
      table.querySelectorAll('thead th').forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const value = row => {
        const cell = row.cells[column];
        return cell.dataset.key === undefined ? cell.textContent : Number(cell.dataset.key);
      };
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        // What has no number comes last, whichever way.
        if (typeof x !== typeof y) return typeof x === 'number' ? -1 : 1;
        const order = typeof x === 'number' ? x - y : x.localeCompare(y);
        return up ? order : -order;
      };
      body.append(...Array.from(body.rows).sort(compare));
    });
  });
}
for (const input of document.querySelectorAll('input[data-filter]')) {
  input.addEventListener('input', () => {
    const word = input.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(`table[data-run="${input.dataset.filter}"] tbody tr`)) {
      row.hidden = !row.textContent.toLowerCase().includes(word);
    }
  });
}
const marked = (anchor, on) => {
  for (const row of document.querySelectorAll(`tr[data-anchor="${anchor}"]`)) row.classList.toggle('marked', on);
};
for (const point of document.querySelectorAll('svg a')) {
  const anchor = point.getAttribute('href').slice(1);
  for (const [event, on] of [['mouseenter', true], ['focus', true], ['mouseleave', false], ['blur', false]]) {
    point.addEventListener(event, () => marked(anchor, on));
  }
}
const open = () => {
  const target = document.getElementById(location.hash.slice(1));
  for (const other of document.querySelectorAll('details.marked')) other.classList.remove('marked');
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.classList.add('marked');
    target.scrollIntoView();
  }
};
window.addEventListener('hashchange', open);
window.addEventListener('beforeprint', () => document.querySelectorAll('details[id]').forEach(d => { d.open = true; }));
open();
