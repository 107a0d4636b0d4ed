import { type Command, callerHeaders, type Tenant } from './command.ts';
import { periodFlags, readPeriod } from './period.ts';
import { print, printJson } from './terminal.ts';
import { type Redactions, readRedactions } from './wire.ts';
import { count, printable, secondOf, wrap } from './words.ts';

export const redactionReport: Command = {
  about:
    "States what became of the texts of a tenant's messages created in a period: emptied at Twilio, emptied here, outstanding. " +
    'The statement is made to be filed.',
  flags: periodFlags,
  examples: ['--month 2026-11 --trustomer OUH --product GDM'],
  timeoutS: 120,
  tenant: 'needed',
  run: async (call) => {
    const period = readPeriod('redaction-report', call);
    const tenant = call.tenant();
    const reply = await call.api().demand({
      path: '/dhos/v1/redaction_report',
      query: { from: period.from, to: period.to },
      headers: callerHeaders(tenant),
    });
    if (call.is('json')) printJson(reply.body);
    else print(statement(readRedactions(reply), tenant));
    return 'done';
  },
};

function statement(figures: Redactions, tenant: Tenant): string {
  const heading = [
    'Statement on the texts of messages',
    '',
    `Trust:     ${tenant.trustomer}`,
    `Product:   ${tenant.product}`,
    `Created:   ${figures.from} to ${figures.to}, both included`,
    `As of:     ${secondOf(figures.measurement_timestamp)} UTC`,
  ];
  const paragraphs = [atTwilio(figures), outstanding(figures), unfinished(figures), here(figures)];
  return `${heading.map((line) => `${printable(line)}\n`).join('')}\n${paragraphs
    .filter((p) => p !== '')
    .map((p) => wrap(p))
    .join('\n')}`;
}

function atTwilio({ finished, emptied_at_twilio }: Redactions): string {
  if (finished === 0) return 'No message of this period has reached its end.';
  return `${count(finished, 'message')} reached ${finished === 1 ? 'its' : 'their'} end. Of ${isAre(emptied_at_twilio)} it is proved by Twilio's own answer that Twilio's copy of the text is empty or gone.`;
}

function isAre(number: number): string {
  return number === 0 ? 'none of them' : count(number, 'of them', 'of them');
}

function outstanding({ outstanding: open, oldest_outstanding }: Redactions): string {
  if (open === 0) return 'None is outstanding.';
  const oldest = oldest_outstanding === undefined ? '' : ` The oldest is of ${secondOf(oldest_outstanding)} UTC.`;
  return `${count(open, 'message is', 'messages are')} outstanding: finished, but Twilio's copy of the text has not been proved empty yet. The service goes on trying.${oldest}`;
}

function unfinished({ unfinished: open, left_alone }: Redactions): string {
  return [
    ...(open > 0
      ? [
          `${count(open, 'message has', 'messages have')} not reached ${open === 1 ? 'its' : 'their'} end; the text is emptied at Twilio afterwards.`,
        ]
      : []),
    ...(left_alone > 0
      ? [
          `${count(left_alone, 'message was', 'messages were')} left alone: older than 7 days when this service took over the database, so that nothing is emptied at Twilio until an operator says so.`,
        ]
      : []),
  ].join(' ');
}

function here({ emptied_here, numbers_emptied_here }: Redactions): string {
  return `In this service's own database the text of ${count(emptied_here, 'message')} and the number of ${count(numbers_emptied_here, 'message')} have been emptied.`;
}
