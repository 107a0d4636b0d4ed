import type { Reply } from './api.ts';
import { Failure } from './failure.ts';
import { withoutNumbers } from './words.ts';

/** What the service says against it, in its own words: they never repeat a value. A stranger's words are not shown. */
export function asFailure(reply: Reply, baseUrl: string): Failure {
  const problem = readProblem(reply);
  if (problem === null) {
    const sentence = `${baseUrl} answered HTTP status ${reply.status}, but not as Polaris SMS does: is --url right?`;
    return new Failure('unreachable', sentence);
  }
  const code = problem.errorCode === null ? '' : ` (Twilio's code ${problem.errorCode})`;
  const ending = reply.status < 500 ? 'refused' : 'unreachable';
  return new Failure(ending, withoutNumbers(problem.detail) + code, { json: reply.body });
}

function readProblem({ headers, body }: Reply): { detail: string; errorCode: string | null } | null {
  if (!/^application\/problem\+json/.test(headers['content-type'] ?? '')) return null;
  const problem = readJson(body);
  if (typeof problem !== 'object' || problem === null || !('detail' in problem)) return null;
  const errorCode = 'error_code' in problem ? withoutNumbers(String(problem.error_code)) : null;
  return { detail: String(problem.detail), errorCode };
}

export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
