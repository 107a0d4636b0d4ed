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
  const paragraphs = [ended(figures), outstanding(figures), leftAlone(figures), unfinished(figures), here(figures)];
  const written = paragraphs.filter((paragraph) => paragraph !== null).map((paragraph) => wrap(paragraph));
  return `${heading.map((line) => `${printable(line)}\n`).join('')}\n${written.join('\n')}`;
}

function ended({ finished, emptied_at_twilio }: Redactions): string {
  if (finished === 0) return 'No message that Twilio had the text of has reached its end.';
  const those = `${count(finished, 'message')} that Twilio had the text of reached ${finished === 1 ? 'its' : 'their'} end. `;
  if (emptied_at_twilio === 0) return `${those}None of them is recorded as emptied at Twilio.`;
  const emptied = count(emptied_at_twilio, 'of them is', 'of them are');
  return `${those}${emptied} recorded as emptied at Twilio: its answer showed an empty text, or it no longer had the message.`;
}

function outstanding({ outstanding: open, oldest_outstanding }: Redactions): string {
  if (open === 0) return 'None is outstanding.';
  const oldest =
    oldest_outstanding === undefined ? '' : ` The oldest was recorded on ${secondOf(oldest_outstanding)} UTC.`;
  return `${count(open, 'of them is', 'of them are')} outstanding: not emptied at Twilio yet, and tried again until done.${oldest}`;
}

function leftAlone({ left_alone }: Redactions): string | null {
  if (left_alone === 0) return null;
  return `${count(left_alone, 'of them was', 'of them were')} left alone: older than 7 days when this service took over from the Python service, and not emptied at Twilio by it.`;
}

function unfinished({ unfinished: open }: Redactions): string | null {
  if (open === 0) return null;
  return `${count(open, 'more message has', 'more messages have')} not reached ${open === 1 ? 'its' : 'their'} end: Twilio has the text, and may not be asked to empty it before.`;
}

function here({ emptied_here, numbers_emptied_here }: Redactions): string {
  return `In this service's own database the text of ${count(emptied_here, 'message')} and the number of ${count(numbers_emptied_here, 'message')} have been emptied. Deleted messages are included everywhere above.`;
}
