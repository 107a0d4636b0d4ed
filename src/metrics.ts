import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { within } from './clock.ts';
import type { CreateOutcome } from './twilio/outcome.ts';

/** What an operator can watch at /metrics. Labels are kinds, never ids or patient data. */
export type Metrics = ReturnType<typeof makeMetrics>;

export function makeMetrics(
  pool: () => { total: number; idle: number; waiting: number },
  ages: { unredactedS: () => Promise<number>; unresolvedS: () => Promise<number> },
) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'sms_database_connections',
    help: 'Pooled PostgreSQL connections by state; waiting = requests that wait for one',
    labelNames: ['state'],
    registers,
    collect() {
      const { total, idle, waiting } = pool();
      this.set({ state: 'busy' }, total - idle);
      this.set({ state: 'idle' }, idle);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  ageGauge(registry, 'sms_oldest_unredacted_age_seconds', {
    help: 'How long the finished text that has waited longest to be emptied at Twilio has waited; absent while the database is',
    age: ages.unredactedS,
  });
  ageGauge(registry, 'sms_oldest_unresolved_age_seconds', {
    help: 'Age of the oldest message of which it is not known whether Twilio took it; absent while the database is',
    age: ages.unresolvedS,
  });
  const sends = new Counter({
    name: 'sms_sends_total',
    help: 'Attempts to hand a message to Twilio, by outcome',
    labelNames: ['outcome'],
    registers,
  });
  const refusals = new Counter({
    name: 'sms_twilio_refusals_total',
    help: 'Attempts that Twilio refused, by class: account and configuration need somebody, for good, later',
    labelNames: ['class'],
    registers,
  });
  return {
    registry,
    countOutcome: (outcome: CreateOutcome) => {
      sends.inc({ outcome: outcome.kind });
      if (outcome.kind === 'refused') refusals.inc({ class: outcome.errorClass });
    },
    requests: new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Requests by method, route and status',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
      registers,
    }),
    authentication: new Gauge({
      name: 'sms_authentication',
      help: 'Always 1: who may call. mode none: everybody. chosen no: AUTH_MODE is not set, nobody has said that this is meant',
      labelNames: ['mode', 'chosen'],
      registers,
    }),
    callersRefused: new Counter({
      name: 'sms_callers_refused_total',
      help: 'Requests refused for who asked: unknown (no key, or none that is good), scope, tenant, cross-site (a session, but perhaps another site)',
      labelNames: ['reason'],
      registers,
    }),
    looks: new Counter({
      name: 'sms_log_looks_total',
      help: "Looks in Twilio's log for a message whose fate is unknown, by what they came to",
      labelNames: ['look'],
      registers,
    }),
    duplicateHandovers: new Counter({
      name: 'sms_duplicate_handover_total',
      help: 'Second SIDs that were proved for a message that has one: the patient may have got it twice',
      registers,
    }),
    expired: new Counter({
      name: 'sms_expired_total',
      help: 'Messages that could not be sent in time and never will be',
      registers,
    }),
    callbacks: new Counter({
      name: 'sms_callbacks_total',
      help: 'Status callbacks by result: applied, no change, kept (unknown SID), duplicate (a second SID), refused (bad signature), invalid',
      labelNames: ['result'],
      registers,
    }),
    signatureFailures: new Counter({
      name: 'sms_signature_failures_total',
      help: 'Callbacks that were refused, by reason: missing, malformed, another account, nothing matches, not examined (too many at once), or what would have matched: scheme, port, slash, query, path, user, fields, token, several',
      labelNames: ['reason'],
      registers,
    }),
    statusChecks: new Counter({
      name: 'sms_status_checks_total',
      help: 'Messages that Twilio was asked about, by how (its list, or a fetch of the one) and by result: changed, no news, gone, failed',
      labelNames: ['how', 'result'],
      registers,
    }),
    refused: new Counter({
      name: 'sms_refused_total',
      help: 'Requests refused by a limit, before anything was recorded, by rule: rate limit, busy, country, sender, recipient limit, daily cap',
      labelNames: ['rule'],
      registers,
    }),
    silent: new Counter({
      name: 'sms_silent_total',
      help: 'Messages of which Twilio has said nothing new for 72 hours',
      registers,
    }),
    bulkUpdateRemaining: new Gauge({
      name: 'sms_bulk_update_remaining',
      help: 'Messages that the bulk update which runs in this process has still to ask about',
      registers,
    }),
    emptied: new Counter({
      name: 'sms_emptied_total',
      help: 'What was emptied here by retention or on request: text, number, callback (one whose message never turned up)',
      labelNames: ['what'],
      registers,
    }),
    redactions: new Counter({
      name: 'sms_redactions_total',
      help: 'Attempts to empty a text at Twilio, by result',
      labelNames: ['result'],
      registers,
    }),
  };
}

/** Asked for at each scrape; a database that does not answer in time must not make the other metrics wait. */
function ageGauge(registry: Registry, name: string, { help, age }: { help: string; age: () => Promise<number> }): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    async collect() {
      const seconds = await within(
        AGE_WITHIN_MS,
        age().catch(() => null),
      );
      if (typeof seconds === 'number') this.set(seconds);
      else this.remove();
    },
  });
}

const AGE_WITHIN_MS = 2_000;
