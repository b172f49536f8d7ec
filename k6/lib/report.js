// What a run says at its end: a few lines on the terminal, and in REPORT_DIR a page
// that needs nothing but itself, and everything that k6 knows as JSON.

import { isPromise, PHASES, VERBS } from './metrics.js';
import { settings } from './settings.js';

// EXPLAINED is what a promise means to a person, in the order of importance.
const EXPLAINED = {
  audits_passed: 'the audit holds: nothing oversold, nobody passed, nothing unfinished',
  units_apart: 'units that people read are theirs, less those in the record',
  prints_apart: 'the same receipts on both sides (a sum of fingerprints)',
  changed_minds: 'receipts that were final, and then something else',
  unfinished: 'accepted requests without an outcome',
  surprises: 'answers that the contract does not allow, and faults of the script',
  checks: 'every answer has the form it must have',
  verdicts: 'receipts seen decided',
  units: 'units sold, by what people read',
  rereads: 'receipts read a second time',
  dropped_iterations: 'people who could not come because the generator was busy',
  http_req_failed: 'requests pushed back or lost',
  verdict_ms: 'from the POST to the verdict',
};

// summary answers a handleSummary() for a scenario and the question it answers. It may
// have facts of its own, pairs of a name and a text made of the values of its metrics,
// and say what promises of its own mean.
export function summary(name, question, facts = () => [], explained = {}) {
  return (data) => {
    const run = digest(data, name, question, facts, Object.assign({}, EXPLAINED, explained));
    const base = `${settings.report}/${name}`;
    return {
      stdout: text(run, base),
      [`${base}.html`]: page(run),
      [`${base}.json`]: JSON.stringify({ name, passed: run.passed, promises: run.promises, settings: shown(), metrics: data.metrics }, null, 1),
    };
  };
}

// shown is the settings without what nobody else needs to read.
function shown() {
  return Object.assign({}, settings, { accountsFile: settings.accountsFile !== '' });
}

function digest(data, name, question, facts, explained) {
  const values = (metric) => (data.metrics[metric] || { values: {} }).values;
  const count = (metric) => values(metric).count || 0;
  const promises = [];
  for (const [metric, m] of Object.entries(data.metrics)) {
    for (const [rule, { ok }] of Object.entries(m.thresholds || {})) {
      if (!isPromise(rule)) continue;
      promises.push({ metric, rule, ok, seen: seen(rule, m), means: meaning(metric, explained) });
    }
  }
  const order = Object.keys(explained);
  const rank = (p) => (p.ok ? 100 : 0) + (order.includes(p.metric) ? order.indexOf(p.metric) : 50);
  promises.sort((a, b) => rank(a) - rank(b) || (a.metric < b.metric ? -1 : 1));
  const words = (metric, tag) => Object.keys(data.metrics)
    .map((key) => key.match(`^${metric}\\{${tag}:(.*)\\}$`))
    .filter((match) => match && count(match[0]) > 0)
    .map((match) => [match[1], count(match[0])])
    .sort((a, b) => b[1] - a[1]);
  return {
    name, question, promises, passed: promises.every((p) => p.ok), audited: settings.ops !== null,
    seconds: data.state.testRunDurationMs / 1000,
    requests: count('http_reqs'),
    came: count('iterations'), most: values('vus').max || 0,
    accepted: count('accepted'), refused: count('refused'), verdicts: count('verdicts'), units: count('units'),
    verdict: values('verdict_ms'), polls: values('polls_per_verdict'), eta: values('eta_error_ms'),
    statuses: words('verdicts', 'status'), reasons: words('rejected', 'reason'), codes: words('refused', 'code'), pushed: words('pushed_back', 'code'),
    verbs: VERBS.filter((v) => count(`accepted{verb:${v}}`) > 0).map((v) => ({
      verb: v, accepted: count(`accepted{verb:${v}}`), units: count(`units{verb:${v}}`), verdict: values(`verdict_ms{verb:${v}}`),
    })),
    phases: PHASES
      .map((phase) => ({ phase, time: values(`http_req_duration{phase:${phase}}`) }))
      .filter((p) => p.time.count > 0),
    facts: facts(values),
  };
}

function meaning(metric, explained) {
  const phase = metric.match(/^http_req_duration\{phase:(.*)\}$/);
  return phase ? `one HTTP request: ${phase[1]}` : explained[metric] || '';
}

// seen is the figure that a rule like "p(95)<1000" is about.
function seen(rule, { type, contains, values }) {
  const stat = rule.match(/^(p\([\d.]+\)|[a-z]+)/)[1];
  const value = values[stat];
  if (value === undefined || values.count === 0 && stat !== 'count') return '–'; // nothing to judge
  if (type === 'rate') return `${round(value * 100, 2)} %`;
  if (contains === 'time') return ms(value);
  return grouped(round(value, 2));
}

const round = (n, digits) => Math.round(n * 10 ** digits) / 10 ** digits;
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ',');
const ms = (n) => (n === undefined ? '–' : n >= 10_000 ? `${round(n / 1000, 1)} s` : `${grouped(round(n, n < 10 ? 1 : 0))} ms`);
const list = (words) => (words.length === 0 ? 'none' : words.map(([word, n]) => `${word} ${grouped(n)}`).join(', '));
const speed = (t) => `p50 ${ms(t.med)}, p95 ${ms(t['p(95)'])}, p99 ${ms(t['p(99)'])}, worst ${ms(t.max)}`;

function headline(run) {
  const failed = run.promises.filter((p) => !p.ok).length;
  const audit = run.audited ? '' : ' (NOT AUDITED: OPS_URL=none)';
  return run.passed ? `passed, all ${run.promises.length} promises kept${audit}` : `FAILED, ${failed} of ${run.promises.length} promises broken${audit}`;
}

function text(run, base) {
  const lines = [
    '',
    `${run.name}: ${headline(run)}`,
    run.question,
    '',
    `people      ${grouped(run.came)} came, up to ${run.most} at a time; ${grouped(run.requests)} HTTP requests in the ${round(run.seconds, 0)} s of the run`,
    `asked       accepted ${grouped(run.accepted)}, refused at the door ${grouped(run.refused)} (${list(run.codes)})`,
    `outcomes    ${list(run.statuses)}`,
    `rejected    ${list(run.reasons)}`,
    `sold        ${grouped(run.units)} units that somebody has read are his`,
  ];
  if (run.verdicts > 0) {
    lines.push(`verdict     ${speed(run.verdict)}`);
    lines.push(`polls       ${round(run.polls.avg, 2)} for a verdict, at most ${run.polls.max}`);
  }
  if (run.eta.count > 0) lines.push(`eta         wrong by ${speed(run.eta)}`);
  if (run.pushed.length > 0) lines.push(`pushed back ${list(run.pushed)}`);
  for (const [name, value] of run.facts) lines.push(`${name.padEnd(11)} ${value}`);
  lines.push('');
  const wide = Math.max(...run.promises.map((p) => `${p.metric} ${p.rule}`.length));
  const figure = Math.max(...run.promises.map((p) => p.seen.length));
  for (const p of run.promises) {
    lines.push(`${p.ok ? 'ok    ' : 'BROKEN'}  ${`${p.metric} ${p.rule}`.padEnd(wide)}  ${p.seen.padStart(figure)}  ${p.means}`);
  }
  lines.push('', `report: ${base}.html`, '');
  return lines.join('\n');
}

const escaped = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --paper: #fff; --shade: #f4f6f9; --edge: #dde3ea; --good: #0b6b3a; --bad: #a3172d; --bar: #7fa8d6 }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ef; --soft: #9aa7b7; --paper: #12161c; --shade: #1b212a; --edge: #2e3844; --good: #6fd39b; --bad: #f38ba0; --bar: #3f6ea3 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1rem 4rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem }
p { margin: .3rem 0; max-width: 46rem } .soft { color: var(--soft) }
.verdict { max-width: none; font-weight: 600; margin: 1rem 0; padding: .7rem 1rem; border: 1px solid; border-left-width: .4rem; border-radius: .4rem }
.good { color: var(--good) } .bad { color: var(--bad) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.25rem 0 }
.tile { background: var(--shade); border: 1px solid var(--edge); border-radius: .5rem; padding: .7rem .9rem }
.tile b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums } .tile span { color: var(--soft); font-size: .85rem }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--edge); vertical-align: top } th { color: var(--soft); font-weight: 600; font-size: .85rem }
.n { text-align: right; white-space: nowrap } code { font: .88em ui-monospace, Menlo, Consolas, monospace; white-space: nowrap }
.bars th:first-child { width: 14rem } .bars th:nth-child(2) { width: 6rem }
.bar { display: inline-block; height: .6rem; border-radius: .2rem; background: var(--bar); min-width: 2px; vertical-align: middle }
@media print { body { padding: 0 } }
`;

function table(head, rows, kind = '') {
  const cells = (row, tag) => row.map((cell, i) => `<${tag}${head[i].startsWith('#') ? ' class="n"' : ''}>${cell}</${tag}>`).join('');
  return `<div class="wide"><table${kind}><thead><tr>${cells(head, 'th').replace(/>#/g, '>')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}</tbody></table></div>`;
}

function bars(words) {
  const most = Math.max(1, ...words.map(([, n]) => n));
  return table(['', '#times', ''], words.map(([word, n]) => [escaped(word), grouped(n), `<span class="bar" style="width:${round(n / most * 24, 2)}rem"></span>`]), ' class="bars"');
}

const tile = (value, name) => `<div class="tile"><b>${escaped(value)}</b><span>${escaped(name)}</span></div>`;

function times(rows) {
  return rows.map(([name, t, ...more]) => [escaped(name), ...more, grouped(t.count || 0), ms(t.med), ms(t['p(95)']), ms(t['p(99)']), ms(t.max)]);
}

function page(run) {
  const parts = [
    `<h1>${escaped(run.name)}</h1><p class="soft">${escaped(run.question)}</p>`,
    `<p class="verdict ${run.passed ? 'good' : 'bad'}">${escaped(headline(run))}</p>`,
    '<div class="tiles">',
    tile(grouped(run.came), `people came, up to ${run.most} at a time`),
    tile(grouped(run.accepted), 'requests accepted'),
    tile(grouped(run.refused), 'refused at the door'),
    tile(grouped(run.units), 'units sold, as read'),
    tile(ms(run.verdict['p(95)']), 'to a verdict, p95'),
    tile(grouped(run.requests), `HTTP requests in ${round(run.seconds, 0)} s`),
    '</div>',
    '<h2>Promises</h2>',
    table(['', 'promise', '#seen', 'meaning'], run.promises.map((p) => [
      `<b class="${p.ok ? 'good' : 'bad'}">${p.ok ? 'kept' : 'broken'}</b>`, `<code>${escaped(p.metric)} ${escaped(p.rule)}</code>`, escaped(p.seen), escaped(p.means),
    ])),
    '<h2>Outcomes</h2>', bars(run.statuses),
  ];
  if (run.reasons.length > 0) parts.push('<h2>Rejected, because</h2>', bars(run.reasons));
  if (run.codes.length > 0) parts.push('<h2>Refused at the door, because</h2>', bars(run.codes));
  if (run.pushed.length > 0) parts.push('<h2>Pushed back, and asked again</h2>', bars(run.pushed));
  parts.push('<h2>From the POST to the verdict</h2>',
    table(['verb', '#accepted', '#units', '#verdicts', '#p50', '#p95', '#p99', '#worst'], times(run.verbs.map((v) => [v.verb, v.verdict, grouped(v.accepted), grouped(v.units)]))),
    '<h2>One HTTP request</h2>',
    table(['phase', '#requests', '#p50', '#p95', '#p99', '#worst'], times(run.phases.map((p) => [p.phase, p.time]))));
  if (run.eta.count > 0) parts.push('<h2>Foretold and come true</h2>', `<p>The first <code>eta_ms</code> was wrong by ${escaped(speed(run.eta))}.</p>`);
  if (run.facts.length > 0) parts.push('<h2>Of this scenario</h2>', table(['what', 'figure'], run.facts.map((f) => f.map(escaped))));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(run.name)}: ${run.passed ? 'passed' : 'FAILED'}</title>
<style>${STYLE}</style>
</head>
<body>
${parts.join('\n')}
</body>
</html>
`;
}
