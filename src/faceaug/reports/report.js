'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };

  // Unfold everything for printing.
  let opened = [];
  addEventListener('beforeprint', () => {
    opened = [...document.querySelectorAll('details:not([open])')];
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener('afterprint', () => opened.forEach((details) => { details.open = false; }));

  if (!byId('groups')) return;

  // The gallery: an index, and the groups in chunks of JSON that are parsed when they are shown.
  const PRINTED = 500; // most groups to print
  const data = (id) => JSON.parse(byId(id).textContent);
  const index = data('faces-index');
  const chunks = new Map();
  let found = [], at = 0, tag = -1;

  const chunk = (k) => {
    if (chunks.size > 60) chunks.clear();
    if (!chunks.has(k)) chunks.set(k, data(`faces-${k}`));
    return chunks.get(k);
  };
  const group = (i) => chunk(Math.floor(i / index.size))[i % index.size];

  const figure = ([name, picture, lines, stays, mark]) => {
    const made = make('figure', '', stays ? 'stays' : '');
    let shown = make('div', 'no picture', 'none');
    if (picture) {
      shown = make('img');
      shown.alt = name;
      shown.title = index.below + name;
      shown.decoding = index.source ? 'sync' : 'async';
      shown.loading = index.source ? 'eager' : 'lazy';
      shown.src = index.source + picture;
    }
    const words = make('figcaption');
    words.append(make('b', mark), ` ${name}`);
    lines.forEach((line) => words.append(make('br'), line));
    made.append(shown, words);
    return made;
  };
  const draw = ([tags, pictures]) => {
    const card = make('div', '', pictures.length > 1 ? 'group' : 'group single'), row = make('div', '', 'group-row');
    tags.forEach((text) => card.append(make('span', text, 'tag')));
    pictures.forEach((picture) => row.append(figure(picture)));
    card.append(row);
    card.onclick = (event) => { if (event.target.tagName === 'IMG') card.classList.toggle('large'); };
    return card;
  };
  const list = (part) => byId('groups-list').replaceChildren(...part.map((i) => {
    const card = draw(group(i));
    if (choices) choices.dress(card, i);
    return card;
  }));
  const number = (n) => n.toLocaleString('en');

  const show = () => {
    const last = Math.max(0, Math.ceil(found.length / index.size) - 1);
    at = Math.min(Math.max(at, 0), last);
    const first = at * index.size, part = found.slice(first, first + index.size);
    list(part);
    byId('groups-at').textContent = found.length
      ? `${number(first + 1)} to ${number(first + part.length)} of ${number(found.length)}` : 'nothing found';
    byId('groups-back').disabled = !at;
    byId('groups-next').disabled = at >= last;
  };
  const pick = () => {
    const words = byId('groups-find').value.toLowerCase().trim();
    found = [];
    index.groups.forEach(([bits, , names], i) => {
      if ((tag < 0 || bits >> tag & 1) && names.includes(words)) found.push(i);
    });
    if (byId('groups-sort').value === '1') found.sort((a, b) => index.groups[b][1] - index.groups[a][1] || a - b);
    at = 0;
    show();
  };
  const turn = (step) => {
    at += step;
    show();
    byId('groups').scrollIntoView();
  };

  // Where the reader decides about the groups, decide.js adds its controls to each card.
  const isShown = (i) => Math.floor(found.indexOf(i) / index.size) === at;
  const choices = byId('choices') ? globalThis.faceaugDecide({
    byId, make, data, number, index, group, isShown,
    found: () => found,
    first: () => at * index.size,
    cards: () => [...byId('groups-list').children],
    find: (i) => { // turns to its page, whatever the filters hide
      if (!found.includes(i)) {
        byId('groups-find').value = '';
        tag = -1;
        byId('groups-tags').firstChild.click();
      }
      if (!isShown(i)) {
        at = Math.floor(found.indexOf(i) / index.size);
        show();
      }
      return byId('groups-list').children[found.indexOf(i) % index.size];
    },
  }) : null;

  ['all', ...index.tags].forEach((name, k) => {
    const count = k ? index.groups.filter(([bits]) => bits >> (k - 1) & 1).length : index.groups.length;
    const button = make('button', `${name} (${number(count)})`);
    button.setAttribute('aria-pressed', !k);
    button.onclick = () => {
      tag = k - 1;
      [...byId('groups-tags').children].forEach((other) => other.setAttribute('aria-pressed', other === button));
      pick();
    };
    byId('groups-tags').append(button);
  });
  byId('groups-find').oninput = pick;
  byId('groups-sort').onchange = pick;
  byId('groups-back').onclick = () => turn(-1);
  byId('groups-next').onclick = () => turn(1);
  addEventListener('keydown', (event) => {
    if (event.target.closest('input, select, pre, .scroll')) return; // these use the arrow keys themselves
    if (event.key === 'ArrowLeft' && !byId('groups-back').disabled) turn(-1);
    if (event.key === 'ArrowRight' && !byId('groups-next').disabled) turn(1);
  });
  addEventListener('beforeprint', () => {
    list(found.slice(0, PRINTED));
    if (found.length > PRINTED) byId('groups-list').append(make('p', `and ${number(found.length - PRINTED)} more groups`));
  });
  addEventListener('afterprint', show);
  pick();
  if (choices) choices.begin();
})();
