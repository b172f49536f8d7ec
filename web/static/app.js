// What moves on a page: the clocks, the price, and what an event stream tells. The server
// has written the page already; whatever changes in more than a number is fetched from it
// again, so there is one way to say a thing.

const root = document.documentElement;
const words = JSON.parse(document.getElementById('words').textContent);

// The server's clock. The page says when it was written; the browser's clock may be wrong,
// but it runs at the same speed. Of all that the server has said since, the least late
// counts.
let ahead = Date.parse(root.dataset.now) - (performance.timeOrigin + performance.getEntriesByType('navigation')[0].responseStart);
const now = () => performance.timeOrigin + performance.now() + ahead;
function hearClock(iso, fresh) {
  const said = Date.parse(iso) - (performance.timeOrigin + performance.now());
  if (said > ahead || fresh) ahead = said;
}

// Durations: two units at most, tenths below ten seconds where it matters.
function lengthOf(ms, fine) {
  let s = Math.max(0, ms) / 1000;
  if (fine && s < 10) return `${s.toFixed(1)}${words.s}`;
  s = Math.ceil(s);
  const parts = [[86400, words.d], [3600, words.h], [60, words.min], [1, words.s]];
  const out = [];
  for (const [of, unit] of parts) {
    const n = Math.floor(s / of);
    s -= n * of;
    if (n || (of === 1 && !out.length)) out.push(n + unit);
    if (out.length === 2) break;
  }
  return out.join(' ');
}
const number = n => n.toLocaleString('en-US');
const setText = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };

// Moments are written in the zone of whoever reads.
function localise(within) {
  for (const t of within.querySelectorAll('time[data-moment]')) {
    const at = new Date(t.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    t.textContent = at.toLocaleString(root.lang, today ? { hour: '2-digit', minute: '2-digit' } : { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
    t.title = at.toLocaleString(root.lang);
  }
  for (const t of within.querySelectorAll('input[type=datetime-local][data-utc]')) {
    if (t.dataset.utc) t.value = localInput(new Date(t.dataset.utc));
  }
}
const localInput = at => new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);

// The price of an auction, by its curve.
function priceAt(curve, t) {
  const k = Math.floor((t - curve.opens) / curve.period);
  return { k: Math.min(Math.max(k, 0), curve.prices.length - 1), before: t < curve.opens, after: t >= curve.closes };
}

let curve = null;
function readCurve() {
  const text = document.getElementById('curve');
  curve = text ? JSON.parse(text.textContent) : null;
}

function tickPrice(t) {
  if (!curve) return;
  const { k, before, after } = priceAt(curve, t);
  const price = curve.prices[k];
  for (const e of document.querySelectorAll('[data-price]')) {
    const text = number(price);
    if (e.textContent !== text) {
      setText(e, text);
      e.classList.remove('fell');
      void e.offsetWidth; // so that it falls again
      e.classList.add('fell');
      const said = document.getElementById('said');
      if (said) setText(said, `${text} ${words.points}`);
    }
  }
  for (const e of document.querySelectorAll('input[data-named]')) e.value = price;
  tickTotal();
  const left = curve.opens + (k + 1) * curve.period - t;
  const drops = !before && !after && k + 1 < curve.prices.length;
  const next = document.getElementById('next');
  if (next) {
    next.hidden = !drops;
    setText(document.getElementById('next-in'), lengthOf(left, true));
    setText(document.getElementById('next-price'), number(curve.prices[Math.min(k + 1, curve.prices.length - 1)]));
    const bar = document.getElementById('next-bar');
    bar.max = curve.period;
    bar.value = Math.max(0, left);
  }
  const mark = document.getElementById('mark');
  if (mark && !before && !after) {
    const x = curve.width * (t - curve.opens) / (curve.closes - curve.opens);
    const y = 8 + (curve.height - 16) * (1 - price / Math.max(curve.prices[0], 1));
    mark.removeAttribute('hidden');
    mark.setAttribute('transform', `translate(${x.toFixed(1)} 0)`);
    document.getElementById('dot').setAttribute('cy', y.toFixed(1));
  }
}

// What a purchase costs in all, while its quantity is chosen.
function tickTotal() {
  for (const out of document.querySelectorAll('[data-total]')) {
    const form = out.closest('form');
    const price = Number(form.querySelector('[name=price]')?.value ?? out.dataset.total);
    const quantity = Number(form.querySelector('[name=quantity]')?.value || 1);
    const chosen = form.querySelector('[name=coupon]');
    const off = Number(chosen?.selectedOptions[0]?.dataset.off || 0);
    setText(out, number(Math.max(0, price * quantity - off)));
  }
}

// Countdowns. Where one ends, the page is another one.
let ended = false, summed = performance.now(), ticked = Date.now();
function tick() {
  if (Date.now() - ticked > asleep && !document.hidden) wake();
  ticked = Date.now();
  const t = now();
  for (const e of document.querySelectorAll('[data-until]')) {
    const left = Date.parse(e.dataset.until) - t;
    setText(e, lengthOf(left, false));
    if (left <= 0 && !e.dataset.over) {
      e.dataset.over = 'yes';
      ended = true;
    }
  }
  for (const e of document.querySelectorAll('progress[data-from]')) {
    const from = Date.parse(e.dataset.from), to = Date.parse(e.dataset.to);
    e.max = to - from;
    e.value = Math.max(0, to - t);
  }
  tickPrice(t);
  const sums = Number(document.getElementById('live')?.dataset.sums || 0); // what no event tells
  if (sums && !document.hidden && !typing() && performance.now() - summed > sums) { summed = performance.now(); refresh(); }
  if (ended) {
    ended = false;
    setTimeout(refresh, 150 + Math.random() * 600); // not all at once
  }
}

// refresh fetches the living part of the page anew.
let refreshing = null, again = false;
async function refresh() {
  if (refreshing) { again = true; return refreshing; }
  refreshing = (async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, cache: 'no-store', signal: AbortSignal.timeout(patience) });
      if (answer.redirected && new URL(answer.url).pathname !== location.pathname) { location.assign(answer.url); return; }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      hearClock(page.documentElement.dataset.now, false);
      for (const id of ['live', 'chips']) swap(document.getElementById(id), page.getElementById(id));
      document.title = page.title;
      settle();
    } catch { /* offline: the stream or the next look tells */ }
  })();
  await refreshing;
  refreshing = null;
  if (again) { again = false; await refresh(); }
}

// typing says that somebody fills in a form: what can wait does not disturb him, or the
// composition of a syllable.
const typing = () => Boolean(document.activeElement?.matches('#live input, #live select, #live textarea'));

// swap puts the new part in, and keeps what somebody has typed, opened and scrolled, and
// where he was.
const stops = 'a[href], button, input, select, textarea, summary, [tabindex]';
function swap(old, fresh) {
  if (!old || !fresh || old.innerHTML === fresh.innerHTML) return;
  const typed = new Map();
  for (const e of old.querySelectorAll('input, select, textarea')) {
    if (e.name && e.name !== 'key' && e.type !== 'hidden' && e.type !== 'radio') typed.set(e.name, e.type === 'checkbox' ? e.checked : e.value);
  }
  const focus = document.activeElement?.id;
  const stop = [...old.querySelectorAll(stops)].indexOf(document.activeElement);
  const opened = [...old.querySelectorAll('details')].map(e => e.open);
  const scrolled = [...old.querySelectorAll('.scroll')].map(e => e.scrollLeft);
  old.replaceChildren(...fresh.childNodes);
  for (const [name, value] of fresh.attributes ? [...fresh.attributes].map(a => [a.name, a.value]) : []) old.setAttribute(name, value);
  for (const a of [...old.attributes]) if (!fresh.hasAttribute(a.name)) old.removeAttribute(a.name);
  for (const e of old.querySelectorAll('input, select, textarea')) {
    if (!typed.has(e.name) || e.type === 'hidden' || e.type === 'radio') continue;
    if (e.type === 'checkbox') e.checked = typed.get(e.name); else e.value = typed.get(e.name);
  }
  old.querySelectorAll('details').forEach((e, i) => { e.open = opened[i] ?? e.open; });
  old.querySelectorAll('.scroll').forEach((e, i) => { e.scrollLeft = scrolled[i] ?? 0; });
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  else if (stop >= 0) old.querySelectorAll(stops)[stop]?.focus({ preventScroll: true });
}

// settle makes a part that has just come ready.
function settle() {
  localise(document);
  readCurve();
  remember();
  tick();
  if (document.readyState === 'complete') listen();
  if (source?.readyState === EventSource.OPEN) mark('live');
  document.dispatchEvent(new Event('settled'));
}

// One stream of events for a page. A browser connects again by itself; where it gives up
// (the session has ended, or there is no room), the page is looked at again and again
// instead, as often as the server wants, and the stream is tried anew.
let source = null, about = '', lookAgain = 0, tries = 0, opening = 0;
const asleep = 10000; // ms without a tick: it was not running
const patience = 10000; // ms with an answer
function listen() {
  const live = document.getElementById('live');
  const wanted = live?.dataset.events || '';
  if (source && about === wanted) return;
  source?.close();
  source = null;
  about = wanted;
  clearTimeout(lookAgain);
  const every = Number(live?.dataset.every || 0);
  if (!wanted) {
    if (every) lookAgain = setTimeout(() => { lookAgain = 0; document.hidden ? wait(every) : look(every); }, every * (0.8 + Math.random() * 0.4));
    return;
  }
  const mine = source = new EventSource(wanted);
  clearTimeout(opening); // a connection that is dead may be taken for it, too
  opening = setTimeout(() => { if (source === mine && mine.readyState === EventSource.CONNECTING) wake(); }, patience);
  mine.addEventListener('open', () => { tries = 0; mark('live'); });
  mine.addEventListener('sale', e => heardSale(JSON.parse(e.data)));
  mine.addEventListener('receipt', e => heardReceipt(JSON.parse(e.data)));
  mine.addEventListener('reset', () => soon());
  mine.addEventListener('end', e => {
    const { reason } = JSON.parse(e.data);
    if (reason === 'final' || reason === 'closed') { mine.close(); refresh(); }
  });
  mine.addEventListener('error', () => {
    mark('off');
    if (mine.readyState !== EventSource.CLOSED || source !== mine) return;
    source = null; about = '';
    const pause = Math.min(2000 * 2 ** tries++, 30000) * (0.75 + Math.random() / 2);
    lookAgain = setTimeout(async () => { await refresh(); listen(); }, pause);
  });
}
const wait = every => { lookAgain = setTimeout(() => { document.hidden ? wait(every) : look(every); }, every); };
async function look(every) { await refresh(); if (!source && !lookAgain) wait(every); }

// soon looks at the page again, once for many reasons.
let due = 0;
function soon(pause = 120) { if (!due) due = setTimeout(() => { due = 0; refresh(); }, pause); }

function mark(how) {
  const e = document.getElementById('wire');
  if (e) { e.dataset.wire = how; setText(e, words[how]); }
}

// A sale has changed: a number is written, anything else is fetched.
function heardSale(s) {
  hearClock(s.now, false);
  const live = document.getElementById('live');
  if (s.state !== live.dataset.state || Date.parse(s.closes_at) !== Date.parse(live.dataset.closes) || s.title !== live.dataset.title) { soon(20 + Math.random() * 400); return; }
  const stock = s.stock;
  if (!stock) return;
  for (const [name, value] of [['free', stock.free], ['total', stock.total], ['sold', stock.sold], ['held', stock.held], ['waiting', stock.waiting ?? 0]]) {
    for (const e of document.querySelectorAll(`[data-stock=${name}]`)) setText(e, number(value));
  }
  for (const bar of document.querySelectorAll('progress[data-gone]')) { bar.max = stock.total; bar.value = stock.held + stock.sold; }
}

// A receipt has changed: its place is written, its status is fetched.
function heardReceipt(r) {
  const live = document.getElementById('live');
  if (live.dataset.receipt !== r.receipt || live.dataset.status !== r.status) { soon(20); return; }
  place(r.position, r.eta_ms, r.outlook);
}

function place(position, eta, outlook) {
  const at = document.getElementById('place');
  if (!at) return;
  setText(at, position ? number(position) : '…');
  const wait = document.getElementById('eta');
  if (wait) wait.hidden = !eta;
  if (eta) setText(document.getElementById('eta-in'), lengthOf(eta, false));
  for (const e of document.querySelectorAll('[data-outlook]')) e.hidden = e.dataset.outlook !== outlook;
  const bar = document.getElementById('progress');
  if (bar && position) {
    const key = 'first:' + document.getElementById('live').dataset.receipt;
    const first = Math.max(Number(sessionStorage.getItem(key) || 0), position);
    sessionStorage.setItem(key, first);
    bar.max = first;
    bar.value = first - position + 1;
  }
}

// One key for one wish. Whoever clicks twice, goes back, or loads a page again whose answer
// he never saw sends what he sent before, so that he asks once. A receipt ends it.
const wishes = 'wish:';
function wishOf(form) {
  return [...new FormData(form)].filter(([n]) => n !== 'key' && n !== 'price' && n !== 'turn').map(p => p.join('=')).join('&');
}
document.addEventListener('submit', e => {
  const form = e.target;
  if (form.method !== 'post') return;
  if (form.dataset.sent && now() - Number(form.dataset.sent) < 8000) { e.preventDefault(); return; }
  const key = form.querySelector('input[name=key]');
  if (key) wish(form, key);
  form.dataset.sent = now();
  for (const b of form.querySelectorAll('button:not([type=button])')) b.setAttribute('aria-disabled', 'true');
});
function wish(form, key) { // the key of the same wish, if it was sent before
  const name = wishes + form.getAttribute('action'), wished = wishOf(form);
  const before = JSON.parse(sessionStorage.getItem(name) || 'null');
  if (before && before.wish === wished && Date.now() - before.at < 120000) {
    key.value = before.key;
    const price = form.querySelector('input[name=price]');
    if (price && before.price) price.value = before.price;
  } else {
    sessionStorage.setItem(name, JSON.stringify({ key: key.value, wish: wished, at: Date.now(), price: form.querySelector('input[name=price]')?.value }));
  }
}
window.addEventListener('pageshow', e => {
  for (const t of document.querySelectorAll('input[type=datetime-local]:disabled')) t.disabled = false;
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent;
  for (const b of document.querySelectorAll('[aria-disabled=true]')) b.removeAttribute('aria-disabled');
  if (e.persisted) refresh().then(listen);
});
function remember() { // the page of a receipt is the answer to what was asked for
  const granted = document.getElementById('live')?.dataset.wish;
  if (!granted) return;
  for (const name of Object.keys(sessionStorage)) {
    if (name.startsWith(wishes) && granted.split(' ').some(path => name.startsWith(wishes + path))) sessionStorage.removeItem(name);
  }
}

// Small helps: plus and minus, a form whose turn comes, times that are typed.
document.addEventListener('click', e => {
  const step = e.target.closest('[data-step]');
  if (!step) return;
  const input = step.parentElement.querySelector('input');
  const value = Number(input.value || 0) + Number(step.dataset.step);
  input.value = Math.min(Math.max(value, Number(input.min || 1)), Number(input.max || Infinity));
  input.dispatchEvent(new Event('input', { bubbles: true }));
});
document.addEventListener('input', tickTotal);
document.addEventListener('change', tickTotal);
document.addEventListener('submit', e => { // a browser's local time, said in UTC
  for (const t of e.target.querySelectorAll('input[type=datetime-local]')) {
    const said = t.parentElement.querySelector('[data-said]');
    said.disabled = false;
    said.value = t.value ? new Date(t.value).toISOString().replace('.000', '') : '';
    t.disabled = true;
  }
}, true);
document.addEventListener('arrived', () => localise(document.getElementById('preview')));

// A sleeping laptop, a lost network: what was missed is read again. Nobody tells a page that
// its stream is dead when the network has forgotten it meanwhile, so it opens another one.
function wake() {
  source?.close();
  source = null; about = '';
  refresh();
  listen();
}
let hid = 0;
document.addEventListener('visibilitychange', () => {
  if (document.hidden) hid = Date.now();
  else if (Date.now() - hid > asleep) wake();
  else refresh().then(listen);
});
window.addEventListener('online', wake);
window.addEventListener('pagehide', () => source?.close());

settle();
window.addEventListener('load', () => listen()); // nothing that is to be seen waits for it
const turn = document.getElementById('turn');
if (turn) setTimeout(() => turn.requestSubmit(), Number(turn.dataset.after));
setInterval(tick, 200);
