/** A flame graph, from what `node --cpu-prof` writes: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */

export type Profile = {
  readonly nodes: readonly Node[];
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
};
type Node = {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
};
type Frame = {
  readonly node: Node;
  readonly selfUs: number;
  readonly totalUs: number;
  readonly children: readonly Frame[];
};

const WIDTH = 1_400;
const ROW = 17;
/** Narrower than this nobody sees anything. */
const LEAST_PX = 0.6;
const CHARACTER_PX = 6.2;

/** Callers above, what they call below; as wide as its share of the processor's time. Idle is left out. */
export function flameGraph(profile: Profile, title: string): string {
  const root = withoutIdle(frameOf(profile));
  const boxes: string[] = [];
  const deepest = draw(root, 0, 0, WIDTH / Math.max(root.totalUs, 1), boxes);
  const height = (deepest + 2) * ROW + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10.5">
<rect width="100%" height="100%" fill="#fff"/><text x="4" y="16" font-size="13">${escaped(title)}</text>
<g transform="translate(0 24)">${boxes.join('\n')}</g>
</svg>
`;
}

/** What ran itself for longest, whoever called it: share of the time that was not idle. */
export function longest(profile: Profile, howMany: number): { readonly what: string; readonly share: number }[] {
  const root = withoutIdle(frameOf(profile));
  const selves = new Map<string, number>();
  const add = (frame: Frame) => {
    const name = nameOf(frame.node);
    selves.set(name, (selves.get(name) ?? 0) + frame.selfUs);
    frame.children.forEach(add);
  };
  add(root);
  return [...selves]
    .sort(([, a], [, b]) => b - a)
    .slice(0, howMany)
    .map(([what, us]) => ({ what, share: us / root.totalUs }));
}

function frameOf({ nodes, samples, timeDeltas }: Profile): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const selves = new Map<number, number>();
  for (const [n, id] of samples.entries()) selves.set(id, (selves.get(id) ?? 0) + (timeDeltas[n] ?? 0));
  const build = (id: number): Frame[] => {
    const node = byId.get(id);
    if (node === undefined) return [];
    const children = (node.children ?? []).flatMap(build);
    const selfUs = selves.get(id) ?? 0;
    return [{ node, selfUs, totalUs: children.reduce((sum, { totalUs }) => sum + totalUs, selfUs), children }];
  };
  const [root] = build(nodes[0]?.id ?? 0);
  if (root === undefined) throw new Error('the profile is empty');
  return root;
}

function withoutIdle(root: Frame): Frame {
  const children = root.children.filter(({ node }) => !['(idle)', '(program)'].includes(node.callFrame.functionName));
  return { ...root, children, selfUs: 0, totalUs: children.reduce((sum, { totalUs }) => sum + totalUs, 0) };
}

/** Answers how deep it went. */
function draw(frame: Frame, x: number, depth: number, pxPerUs: number, boxes: string[]): number {
  const width = frame.totalUs * pxPerUs;
  if (width < LEAST_PX) return depth;
  boxes.push(box(frame, x, depth, width));
  let at = x;
  let deepest = depth;
  for (const child of [...frame.children].sort((a, b) => b.totalUs - a.totalUs)) {
    deepest = Math.max(deepest, draw(child, at, depth + 1, pxPerUs, boxes));
    at += child.totalUs * pxPerUs;
  }
  return deepest;
}

function box({ node, totalUs, selfUs }: Frame, x: number, depth: number, width: number): string {
  const name = escaped(nameOf(node));
  const label = name.slice(0, Math.floor(width / CHARACTER_PX));
  const times = `${(totalUs / 1000).toFixed(1)} ms, itself ${(selfUs / 1000).toFixed(1)} ms`;
  const text = label.length > 2 ? `<text x="${(x + 2).toFixed(1)}" y="${depth * ROW + 12}">${label}</text>` : '';
  return `<g><title>${name}: ${times}</title><rect x="${x.toFixed(1)}" y="${depth * ROW}" width="${(width - 0.3).toFixed(1)}" height="${ROW - 1}" fill="${colourOf(node)}"/>${text}</g>`;
}

/** Ours, the libraries', and what is Node's own or the collector's. */
function colourOf({ callFrame }: Node): string {
  if (callFrame.functionName === '(garbage collector)') return '#e2857c';
  if (callFrame.url.includes('/node_modules/')) return '#a9c9ea';
  return callFrame.url.includes('/src/') ? '#f3c374' : '#d4dadd';
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: Node): string {
  const file = url.replace(/^.*\/(src|node_modules)\//, '').replace(/^node:/, 'node:');
  return `${functionName === '' ? '(anonymous)' : functionName}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
