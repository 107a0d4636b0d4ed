import { useEffect, useRef, useState } from 'preact/hooks';
import { dayInWords, longDayInWords } from '../times.ts';
import { count } from '../words.ts';

/** Charts as SVG: they take their colours from the style sheet, also in the dark and in high contrast, and print as they are seen. */

export type Series = { readonly name: string; readonly tone: string; readonly values: readonly number[] };

const HEIGHT = 200;
const LEFT = 44;
const BOTTOM = 22;
const TOP = 8;
/** So wide is the name of a day. */
const LABEL = 56;
/** Half of the last day's name. */
const RIGHT = 20;

/** Drawn as wide as its place is, so that words keep their size on a telephone. */
function useWidth() {
  const place = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(720);
  useEffect(() => {
    if (place.current === null) return;
    const watch = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.round(entry?.contentRect.width ?? 720))));
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  return { place, width };
}

/** A stacked bar a day. The table beside it says the same in numbers. */
export function DayBars({
  title,
  days,
  series,
  unit,
}: {
  readonly title: string;
  readonly days: readonly string[];
  readonly series: readonly Series[];
  readonly unit: string;
}) {
  const { place, width } = useWidth();
  const totals = days.map((_, n) => series.reduce((sum, { values }) => sum + (values[n] ?? 0), 0));
  const top = niceTop(Math.max(...totals, 1));
  const step = (width - LEFT - RIGHT) / days.length;
  const y = (value: number) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  return (
    <figure class="chart" ref={place}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`${title}; the table below has the numbers`}>
        <Axis top={top} y={y} width={width} />
        {days.map((day, n) => (
          <g key={day}>
            <title>{`${longDayInWords(day)}: ${series.map(({ name, values }) => `${name} ${count(values[n] ?? 0)}`).join(', ')}`}</title>
            <rect class="hover" x={LEFT + n * step} y={TOP} width={step} height={HEIGHT - BOTTOM - TOP} />
            {stackOf(series, n).map(({ tone, from, to }) => (
              <rect
                key={tone}
                class={`fill ${tone}`}
                x={LEFT + n * step + step * 0.12}
                width={step * 0.76}
                y={y(to)}
                height={y(from) - y(to)}
              />
            ))}
          </g>
        ))}
        <DayLabels days={days} step={step} />
      </svg>
      <Legend series={series} />
      <DayTable caption={title} days={days} series={series} unit={unit} show={count} />
    </figure>
  );
}

/** A line a series over days; a day without a value is a gap. */
export function DayLines({
  title,
  days,
  series,
  unit,
  show,
}: {
  readonly title: string;
  readonly days: readonly string[];
  readonly series: readonly {
    readonly name: string;
    readonly tone: string;
    readonly values: readonly (number | null)[];
  }[];
  readonly unit: string;
  readonly show: (value: number) => string;
}) {
  const { place, width } = useWidth();
  const top = niceTop(Math.max(1, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const step = (width - LEFT - RIGHT) / days.length;
  const y = (value: number) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  return (
    <figure class="chart" ref={place}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`${title}; the table below has the numbers`}>
        <Axis top={top} y={y} width={width} show={show} />
        {series.map(({ name, tone, values }) => (
          <g key={name} class={`line ${tone}`}>
            <path d={pathOf(values, (n) => LEFT + (n + 0.5) * step, y)} />
            {values.map((value, n) =>
              value === null ? null : (
                <circle key={days[n]} cx={LEFT + (n + 0.5) * step} cy={y(value)} r="3">
                  <title>{`${longDayInWords(days[n] ?? '')}: ${name} ${show(value)}`}</title>
                </circle>
              ),
            )}
          </g>
        ))}
        <DayLabels days={days} step={step} />
      </svg>
      <Legend series={series} />
      <DayTable caption={title} days={days} series={series} unit={unit} show={show} />
    </figure>
  );
}

function stackOf(series: readonly Series[], n: number) {
  let from = 0;
  return series.flatMap(({ tone, values }) => {
    const value = values[n] ?? 0;
    const piece = { tone, from, to: from + value };
    from += value;
    return value === 0 ? [] : [piece];
  });
}

function pathOf(values: readonly (number | null)[], x: (n: number) => number, y: (value: number) => number): string {
  return values
    .map((value, n) => (value === null ? '' : `${n === 0 || values[n - 1] === null ? 'M' : 'L'}${x(n)} ${y(value)}`))
    .join(' ');
}

function Axis({
  top,
  y,
  width,
  show = count,
}: {
  readonly top: number;
  readonly y: (value: number) => number;
  readonly width: number;
  readonly show?: (value: number) => string;
}) {
  return (
    <g class="axis">
      {[0, top / 2, top].map((value) => (
        <g key={value}>
          <line x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
          <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">
            {value === 0 ? '0' : show(value)}
          </text>
        </g>
      ))}
    </g>
  );
}

function DayLabels({ days, step }: { readonly days: readonly string[]; readonly step: number }) {
  const every = Math.max(1, Math.ceil(LABEL / step));
  return (
    <g class="axis">
      {days.map((day, n) =>
        (days.length - 1 - n) % every === 0 ? (
          <text key={day} x={LEFT + (n + 0.5) * step} y={HEIGHT - 5} text-anchor="middle">
            {dayInWords(day)}
          </text>
        ) : null,
      )}
    </g>
  );
}

function Legend({ series }: { readonly series: readonly { readonly name: string; readonly tone: string }[] }) {
  return (
    <ul class="legend" aria-hidden="true">
      {series.map(({ name, tone }) => (
        <li key={name}>
          <span class={`swatch ${tone}`} />
          {name}
        </li>
      ))}
    </ul>
  );
}

function DayTable({
  caption,
  days,
  series,
  unit,
  show,
}: {
  readonly caption: string;
  readonly days: readonly string[];
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
  readonly unit: string;
  readonly show: (value: number) => string;
}) {
  return (
    <details class="numbers">
      <summary>The numbers</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <section class="scroll" aria-label={`${caption}: table`} tabIndex={0}>
        <table>
          <caption>
            {caption} ({unit})
          </caption>
          <thead>
            <tr>
              <th scope="col">day (UTC)</th>
              {series.map(({ name }) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {[...days.keys()].reverse().map((n) => (
              <tr key={days[n]}>
                <th scope="row">{days[n]}</th>
                {series.map(({ name, values }) => (
                  <td key={name}>{values[n] == null ? '–' : show(values[n] ?? 0)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}

/** The next of 1, 2, 5, 10, 20, 50 … that has room for it. */
function niceTop(most: number): number {
  const ten = 10 ** Math.floor(Math.log10(most));
  return ten * ([1, 2, 5, 10].find((n) => n * ten >= most) ?? 10);
}
