// The end of a run, in teardown(): whether the deployment's own record tells the story
// that its clients were told.

import http from 'k6/http';
import { sleep } from 'k6';
import { ask, askAll, surprise } from './api.js';
import { print, same } from './journey.js';
import { metrics } from './metrics.js';
import { present } from './people.js';
import { settings } from './settings.js';

// compare waits until nothing is under way, asks for the audit, and holds the record
// of every sale against what people have read. A fault here ends k6 with status 107.
export function compare(data) {
  const report = quiet();
  const seller = present(data.seller);
  if (!seller) throw new Error('the seller cannot sign in');
  for (const s of data.sales) {
    const summary = ask('GET', { phase: 'teardown', route: '/v1/sales/{id}/summary', path: `/v1/sales/${s.id}/summary`, who: seller });
    if (summary.status !== 200) throw new Error(`no summary of sale ${s.id}: ${summary.status} ${summary.code}`);
    const { total, free, held, sold } = summary.body.stock;
    if (free + held + sold !== total || free < 0) surprise('teardown', 'units that do not add up', `sale ${s.id}: ${JSON.stringify(summary.body.stock)}`);
    const bought = purchases(seller, s.id);
    metrics.unitsApart.add(-sold);
    for (const b of bought) metrics.printsApart.add(-print(b.receipt));
    again(data, bought);
  }
  if (report) judge(report);
}

// quiet asks for the audit until it finds nothing under way, or until nobody waits any
// longer. It answers the last report; null when the run was told to do without.
function quiet() {
  if (!settings.ops) return null;
  const since = Date.now();
  for (;;) {
    const response = http.get(`${settings.ops}/audit`, {
      tags: { phase: 'teardown', name: '/audit' }, timeout: '120s', responseCallback: http.expectedStatuses(200, 503),
    });
    const late = Date.now() - since > settings.quietWithin * 1000;
    if (response.status === 200) {
      const report = response.json();
      if (late || report.verdict === 'ok' && report.unfinished === 0) return report;
    } else if (late) {
      throw new Error(`no audit at ${settings.ops}/audit: ${response.status} ${response.body || response.error} (OPS_URL=none does without)`);
    }
    sleep(0.5);
  }
}

// judge counts the audit as passed, or says why not.
function judge(report) {
  if (report.verdict === 'ok' && report.unfinished === 0 && report.oversold === 0 && report.inversions === 0) {
    metrics.auditsPassed.add(1);
    console.info(`audit ok: ${report.sales} sales, ${report.receipts} receipts, ${report.requests} requests decided again in ${report.took_ms} ms`);
    return;
  }
  metrics.unfinished.add(report.unfinished);
  console.error(`audit ${report.verdict}: oversold ${report.oversold}, unfinished ${report.unfinished}, inversions ${report.inversions}, busy partitions ${JSON.stringify(report.busy || [])}`);
  for (const finding of report.broken.slice(0, 5)) console.error(`broken: ${JSON.stringify(finding)}`);
}

// purchases are the receipts of a sale that have its units, by the seller's list, which
// is read from the record.
function purchases(seller, id) {
  const answer = ask('GET', {
    phase: 'teardown', route: '/v1/sales/{id}/receipts', path: `/v1/sales/${id}/receipts?status=confirmed`, who: seller,
    headers: { Accept: 'text/csv' }, timeout: '120s',
  });
  if (answer.status !== 200) throw new Error(`no receipts of sale ${id}: ${answer.status} ${answer.code}`);
  const [head, ...lines] = answer.text.trim().split('\r\n').map((line) => line.split(','));
  return lines
    .map((line) => Object.fromEntries(head.map((name, i) => [name, line[i]])))
    .filter((r) => r.verb !== 'pay' && r.verb !== 'cancel' && r.verb !== 'refund' && r.verb !== 'change' || r.verb === 'pay' && Number(r.quantity) > 0);
}

const SAMPLE = 50; // purchases of each sale

// again reads a sample of what is recorded, as its buyers.
function again(data, bought) {
  const people = {};
  for (const b of data.buyers) people[b.account] = b;
  const some = bought.filter((b) => people[b.buyer]).sort(() => Math.random() - 0.5).slice(0, SAMPLE);
  const whos = some.map((b) => present(people[b.buyer]));
  const answers = askAll('GET', some.map((b, i) => ({ phase: 'teardown', route: '/v1/receipts/{id}', path: `/v1/receipts/${b.receipt}`, who: whos[i] })));
  answers.forEach((answer, i) => {
    if (answer.status !== 200) return; // a surprise, and counted as one
    const b = some[i];
    const recorded = Object.assign({}, answer.body, {
      status: b.status, verb: b.verb, quantity: Number(b.quantity), amount: Number(b.amount), requested_at: answer.body.requested_at,
    });
    same(recorded, answer.body);
  });
}
