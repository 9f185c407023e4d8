/* The console's keyboard and its paper forms. Every page works without it. */
'use strict';
const rows = document.querySelector('[data-rows] tbody');
document.addEventListener('keydown', (event) => {
  if (event.target.closest('input, select, textarea') || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/') {
    const search = document.querySelector('[role=search] input');
    if (search) { event.preventDefault(); search.focus(); }
  }
  if (!rows || !['j', 'k'].includes(event.key)) return;
  const links = [...rows.querySelectorAll('th a')];
  const now = links.indexOf(document.activeElement);
  const next = links[event.key === 'j' ? Math.min(now + 1, links.length - 1) : Math.max(now - 1, 0)];
  if (next) next.focus();
});
for (const button of document.querySelectorAll('[data-print]')) button.addEventListener('click', () => print());
const faults = document.getElementById('faults');
if (faults) faults.focus();
for (const form of document.querySelectorAll('[data-paper]')) {
  const told = document.getElementById('words').dataset;
  const inputs = [...form.querySelectorAll('.item input')];
  const range = (input) => {
    const value = input.value.trim();
    const wrong = value !== '' && input.dataset.max !== undefined
      && !(/^\d+$/.test(value) && +value >= +input.dataset.min && +value <= +input.dataset.max);
    input.setAttribute('aria-invalid', wrong);
    input.setCustomValidity(wrong ? `${told.range} ${input.dataset.min}–${input.dataset.max}` : '');
    return !wrong && value !== '';
  };
  const totals = (set) => {
    const items = [...set.querySelectorAll('input[data-max]')];
    const shown = set.querySelector('[data-total]');
    if (!shown) return;
    const filled = items.filter(range);
    const blank = items.length - filled.length;
    const sum = filled.reduce((found, input) => found + +input.value, 0);
    const paper = set.querySelector('input:not([data-max]):not([type=hidden])');
    const differs = set.hasAttribute('data-sums') && blank === 0 && paper.value !== '' && +paper.value !== sum;
    paper.setAttribute('aria-invalid', differs);
    const parts = [];
    if (filled.length && set.hasAttribute('data-sums')) parts.push(`${told.total}: ${sum}`);
    if (filled.length && blank) parts.push(`${blank} ${told.left}`);
    if (differs) parts.push(told.differs);
    shown.textContent = parts.join('. ');
  };
  form.addEventListener('input', (event) => {
    const input = event.target;
    if (input.dataset.max !== undefined && range(input) && input.value.length >= input.maxLength) {
      const next = inputs[inputs.indexOf(input) + 1];
      if (next) { next.focus(); next.select(); }
    }
    const set = input.closest('fieldset');
    if (set) totals(set);
  });
  form.querySelectorAll('fieldset').forEach(totals);
}
