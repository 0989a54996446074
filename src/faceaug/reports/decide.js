'use strict';
// Decisions about the groups of a gallery, which report.js draws: one picture stays, another one, or all.
globalThis.faceaugDecide = (gallery) => {
  const { byId, make, data, number, index } = gallery;
  const settings = data('choices');
  const store = () => (settings.live ? sessionStorage : localStorage); // a live page has another address each time
  const key = `faceaug ${settings.key}`;
  const ALL = 'all';
  const places = new Map(); // choice -> its place in the index of the gallery
  index.groups.forEach((entry, i) => { if (entry.length > 3) places.set(entry[3], i); });
  const decided = new Map(); // choice -> ALL, or the number of the picture that stays in place of the first
  const more = new Map(); // choice -> pictures that leave more than proposed
  const past = []; // what was decided before each step
  let current = -1; // place in the index of the group that the keys are about
  let locked = false;
  let applied = false;

  const say = (text) => { byId('decide-said').textContent = text; };
  const choice = (i) => index.groups[i][3];
  const leaving = (pictures, value) => {
    if (value === ALL) return 0;
    return value ? pictures.length - 1 : pictures.filter((picture) => !picture[3]).length;
  };

  const remember = () => {
    try { store().setItem(key, JSON.stringify([...decided])); } catch { /* a browser may forbid it */ }
  };
  const recall = () => {
    try { return JSON.parse(store().getItem(key)) || []; } catch { return []; }
  };

  // What a group looks like
  const paint = (card, i) => {
    const [, pictures] = gallery.group(i), value = decided.get(choice(i)) ?? 0;
    const figures = [...card.querySelectorAll('figure')];
    figures.forEach((figure, k) => {
      const own = value === 0;
      const stays = own ? pictures[k][3] : value === ALL || value === k;
      figure.classList.toggle('stays', Boolean(stays));
      figure.querySelector('figcaption b').textContent = stays ? 'stays'
        : applied ? 'set aside' : own ? pictures[k][4] : settings.mark;
      const button = figure.querySelector('.keep');
      if (button) {
        button.setAttribute('aria-pressed', value === k);
        button.disabled = locked;
      }
    });
    const all = card.querySelector('.keep-all');
    all.setAttribute('aria-pressed', value === ALL);
    all.disabled = locked;
    card.classList.toggle('decided', value !== 0);
    card.setAttribute('aria-label', `${pictures[0][0]}: ${said(pictures, value)}`);
  };
  const said = (pictures, value) => {
    if (value === ALL) return `all ${pictures.length} stay`;
    const gone = leaving(pictures, value);
    const kept = value || pictures[0][3] ? `${pictures[value][0]} stays` : 'none stays';
    return `${kept}, ${number(gone)} ${gone === 1 ? 'leaves' : 'leave'}`;
  };
  const total = () => {
    let count = settings.leaving;
    more.forEach((extra) => { count += extra; });
    return count;
  };
  const summarize = () => {
    const released = [...decided.values()].filter((value) => value === ALL).length;
    const swapped = decided.size - released, count = total();
    byId('decide-sum').textContent = `${number(count)} ${count === 1 ? 'picture leaves' : 'pictures leave'}. `
      + (decided.size ? `You decided: another picture stays in ${number(swapped)}, all stay in ${number(released)} `
        + `of ${number(places.size)} groups.` : `${number(places.size)} groups to look at.`);
    byId('decide-back').disabled = locked || !past.length;
    byId('decide-reset').disabled = locked || !decided.size;
  };
  const repaint = () => {
    gallery.cards().forEach((card) => { if (card.dataset.choice) paint(card, Number(card.dataset.at)); });
    summarize();
  };

  // Decide, and take back
  const put = (n, value) => {
    if (value) {
      const [, pictures] = gallery.group(places.get(n));
      decided.set(n, value);
      more.set(n, leaving(pictures, value) - leaving(pictures, 0));
    } else {
      decided.delete(n);
      more.delete(n);
    }
  };
  const clear = () => [...decided.keys()].forEach((n) => put(n, 0));
  const decide = (i, value) => {
    const n = choice(i);
    if (n === undefined) say('nothing to decide here: these pictures were only reported');
    if (locked || n === undefined || (decided.get(n) ?? 0) === value) return;
    past.push([[n, decided.get(n) ?? 0]]);
    put(n, value);
    remember();
    repaint();
    say(`${gallery.group(i)[1][0][0]}: ${said(gallery.group(i)[1], value)}`);
  };
  const toggleAll = (i) => decide(i, decided.get(choice(i)) === ALL ? 0 : ALL);
  const swap = (i) => {
    const [, pictures, fixed] = gallery.group(i), value = decided.get(choice(i)) ?? 0;
    if (fixed) say(`${pictures[0][0]} has to stay; space keeps all`);
    else decide(i, ((value === ALL ? 0 : value) + 1) % pictures.length);
  };
  const takeBack = () => {
    if (locked || !past.length) return;
    const step = past.pop();
    step.forEach(([n, value]) => put(n, value));
    remember();
    const i = places.get(step[0][0]);
    go(i);
    repaint();
    const [, pictures] = gallery.group(i);
    say(step.length > 1 ? `${number(step.length)} decisions are back` : `taken back: ${pictures[0][0]}: ${said(pictures, step[0][1])}`);
  };
  const startOver = () => {
    past.push([...decided]);
    clear();
    remember();
    repaint();
    say('all decisions are gone; take back returns them');
  };

  // Walk
  const mark = (i) => {
    current = i;
    gallery.cards().forEach((card) => {
      const here = Number(card.dataset.at) === i;
      card.tabIndex = here ? 0 : -1;
      card.classList.toggle('current', here);
    });
  };
  const go = (i) => {
    const card = gallery.find(i);
    if (!card) return;
    mark(i);
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: 'nearest' });
  };
  const step = (by) => {
    const found = gallery.found();
    const at = found.indexOf(current);
    const next = at < 0 ? gallery.first() : at + by;
    if (next >= 0 && next < found.length) go(found[next]);
    else say(by > 0 ? 'this is the last group' : 'this is the first group');
  };

  addEventListener('keydown', (event) => {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, select, textarea')) return;
    const acts = {
      j: () => step(1), k: () => step(-1), u: takeBack, s: () => swap(current), ' ': () => toggleAll(current),
      Enter: () => gallery.find(current).classList.toggle('large'),
    };
    const act = acts[event.key];
    if (!act || (' sEnter'.includes(event.key) && (current < 0 || !gallery.isShown(current)))) return;
    if (' Enter'.includes(event.key) && target.closest('button, a, summary, pre, .scroll')) return; // theirs
    event.preventDefault();
    act();
  });

  // The file
  const text = () => {
    const made = data('choices-document');
    decided.forEach((value, n) => {
      const group = made.groups[n];
      group.decision = value === ALL ? 'release' : 'swap';
      if (value === ALL) delete group.stays;
      else group.stays = group.pictures[value].name;
    });
    return `${JSON.stringify(made, null, 1)}\n`;
  };
  byId('decide-save').onclick = () => {
    const link = make('a');
    link.href = URL.createObjectURL(new Blob([text()], { type: 'application/json' }));
    link.download = settings.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    if (!settings.live) byId('decide').querySelector('details').open = true; // the commands to run now
    say(`${settings.file} is in the folder of your downloads`);
  };
  byId('decide-copy').onclick = async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch { // older browsers, and pages that are not trusted
      const area = make('textarea', text());
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    say(`the content of ${settings.file} is in the clipboard`);
  };
  byId('decide-back').onclick = takeBack;
  byId('decide-reset').onclick = startOver;

  // A page of a server, which carries the decisions out
  const lock = (value) => {
    locked = value;
    repaint();
  };
  const live = (state) => {
    byId('decide-apply').hidden = state.applied;
    byId('decide-revert').hidden = !state.applied;
    byId('decide').classList.toggle('applied', state.applied);
    document.body.dataset.state = state.applied ? 'applied' : 'open';
    applied = state.applied;
    lock(state.applied);
    say(state.said);
  };
  const ask = async (address, body) => {
    const buttons = byId('decide').querySelectorAll('.decide-live button');
    buttons.forEach((button) => { button.disabled = true; });
    document.body.dataset.state = 'busy';
    say('at work ...');
    lock(true);
    try {
      const answer = await fetch(address, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const state = await answer.json();
      if (state.error) throw new Error(state.error);
      buttons.forEach((button) => { button.disabled = Boolean(state.ended); });
      live(state);
      if (body !== undefined) byId('decide').focus({ preventScroll: true }); // the button may be gone
      if (state.ended) {
        document.body.dataset.state = 'ended';
        lock(true);
      }
      return state;
    } catch (error) {
      buttons.forEach((button) => { button.disabled = false; });
      document.body.dataset.state = 'failed';
      lock(!byId('decide-revert').hidden);
      say(error instanceof TypeError ? 'No answer: the command has ended. Run it again.' : error.message);
      return null;
    }
  };
  byId('decide-apply').onclick = () => ask('apply', { decisions: Object.fromEntries(decided) });
  byId('decide-revert').onclick = () => ask('undo', {});
  byId('decide-finish').onclick = () => ask('finish', {});

  const fits = ([n, value]) => {
    if (!places.has(n)) return false;
    const [, pictures, fixed] = gallery.group(places.get(n));
    return value === ALL || (!fixed && Number.isInteger(value) && value > 0 && value < pictures.length);
  };
  const restore = (entries) => {
    entries.filter(fits).forEach(([n, value]) => put(n, value));
  };

  return {
    /** Add the controls of a group to its card. */
    dress(card, i) {
      const [, pictures, fixed] = gallery.group(i);
      card.dataset.at = i;
      card.tabIndex = i === current ? 0 : -1;
      card.classList.toggle('current', i === current);
      card.setAttribute('role', 'group');
      card.setAttribute('aria-label', pictures[0][0]);
      card.addEventListener('focusin', () => { if (current !== i) mark(i); });
      if (choice(i) === undefined) return;
      card.dataset.choice = 'yes';
      const all = make('button', 'keep all', 'keep-all');
      all.setAttribute('aria-label', `keep all ${pictures.length} pictures of this group`);
      all.onclick = () => toggleAll(i);
      card.prepend(all);
      [...card.querySelectorAll('figure')].forEach((figure, k) => {
        if (fixed) return;
        const button = make('button', 'keep this one', 'keep');
        button.setAttribute('aria-label', `keep ${pictures[k][0]}`);
        button.onclick = () => decide(i, k);
        figure.append(button);
      });
      paint(card, i);
    },
    /** Once the first groups are drawn. */
    begin() {
      byId('decide').hidden = false;
      restore(recall());
      repaint();
      if (decided.size) say('your decisions of before are here again');
      if (settings.live) {
        ask('state').then((state) => {
          if (!state || !state.decisions) return;
          clear();
          restore(Object.entries(state.decisions).map(([n, value]) => [Number(n), value]));
          repaint();
        });
      }
    },
  };
};
