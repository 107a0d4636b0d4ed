import { readFileSync } from 'node:fs';
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { CannotStart } from '../errors.ts';
import { type Scenario, scenarioSchema } from './scenario.ts';

/** Reads a scenario file, YAML or JSON. Refuses with {@link CannotStart}: file, line and field of everything that is wrong. */
export function readScenarioFile(file: string): Scenario {
  return readScenario(textOf(file), file);
}

/** Reads a scenario from text; `name` is how errors call it. */
export function readScenario(text: string, name = 'scenario'): Scenario {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [broken] = document.errors;
  if (broken !== undefined) throw new CannotStart(`${name}:${lines.linePos(broken.pos[0]).line}: ${broken.message}`);
  const read = scenarioSchema.safeParse(document.toJS() ?? {});
  if (read.success) return read.data;
  const faults = read.error.issues.flatMap((issue) => faultsIn(issue, document));
  const placed = faults.map(({ path, words }) => ({
    line: lineOf(document, lines, path),
    words: `${show(path)} ${words}`,
  }));
  placed.sort((a, b) => a.line - b.line);
  throw new CannotStart(placed.map(({ line, words }) => `${name}:${line}: ${words}`).join('\n'));
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const why =
      cause instanceof Error && 'code' in cause && cause.code === 'ENOENT' ? 'there is no such file' : String(cause);
    throw new CannotStart(`The scenario ${file} cannot be read: ${why}.`, { cause });
  }
}

type Path = readonly PropertyKey[];

function faultsIn(issue: z.core.$ZodIssue, document: Document): { path: Path; words: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], words: 'is unknown here' }));
  }
  const isMissing = issue.path.length > 0 && document.getIn(issue.path) === undefined;
  return [{ path: issue.path, words: isMissing ? 'is missing' : wordsOf(issue) }];
}

function wordsOf(issue: z.core.$ZodIssue): string {
  return issue.message.replace(/^Invalid input: expected object.*/, 'must be a mapping of names to values');
}

/** The line of the field's name, else that of the nearest thing around it that is there. */
function lineOf(document: Document, lines: LineCounter, path: Path): number {
  for (let depth = path.length; depth > 0; depth--) {
    const offset = offsetOf(document, path.slice(0, depth));
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return 1;
}

function offsetOf(document: Document, path: Path): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const name = path.at(-1);
  const pair = isMap(parent) ? parent.items.find(({ key }) => isNode(key) && String(key) === name) : undefined;
  const node = pair === undefined ? document.getIn(path, true) : pair.key;
  return isNode(node) ? node.range?.[0] : undefined;
}

/** `rules[2].do.delay` */
function show(path: Path): string {
  const shown = path.map((part) => (typeof part === 'number' ? `[${part + 1}]` : `.${String(part)}`)).join('');
  return shown.replace(/^\./, '') || 'the scenario';
}
