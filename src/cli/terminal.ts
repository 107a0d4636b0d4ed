/** What the operator, or the program in their place, gets to read. */

export function print(text: string): void {
  process.stdout.write(text);
}

/** Beside the result: progress, warnings, what to do next. It never gets into a pipe. */
export function remark(text: string): void {
  process.stderr.write(text);
}

/** The API's JSON as it is, with a line end. */
export function printJson(body: string): void {
  print(body.endsWith('\n') ? body : `${body}\n`);
}

/** `polaris-sms list | head` closes our output early: that is an end, not a fault. */
export function endWithTheReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
