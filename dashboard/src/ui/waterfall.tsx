/** A tree of spans on one time axis. Only the rows that are seen are drawn, so its size does not matter. */
import { memo } from "preact/compat";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Rows } from "../lib/api";
import { compact, count, dollars, duration, words } from "../lib/format";
import { Icon } from "./icons";

export type Node = Rows<"/api/spans/tree">["nodes"][number];

const ROW = 28;
const OVERSCAN = 8;
const INDENT = 14;

interface Tree {
  /** Position of the first node after the subtree of each node. */
  readonly end: Int32Array;
  /** Position of each node's parent, -1 for none. */
  readonly above: Int32Array;
  /** 1 where a node's agent is another one than above it and before it. */
  readonly named: Uint8Array;
}

/** The part of the time axis that is shown, in milliseconds. */
interface Span {
  readonly from: number;
  readonly took: number;
}

/** The nodes come in pre-order: a subtree is a range. */
export function treeOf(nodes: readonly Node[]): Tree {
  const end = new Int32Array(nodes.length);
  const above = new Int32Array(nodes.length);
  const named = new Uint8Array(nodes.length);
  const known = new Map<number, string>();
  const stack: number[] = [];
  nodes.forEach((node, index) => {
    while (stack.length && nodes[stack.at(-1)!]!.depth >= node.depth) end[stack.pop()!] = index;
    const parent = (above[index] = stack.at(-1) ?? -1);
    if (node.agent && node.agent !== (known.get(parent) ?? nodes[parent]?.agent)) {
      named[index] = 1;
      known.set(parent, node.agent);
    }
    stack.push(index);
  });
  for (const index of stack) end[index] = nodes.length;
  return { end, above, named };
}

/** Positions of the nodes that are not inside a folded one. */
export function unfolded(nodes: readonly Node[], { end }: Tree, folded: ReadonlySet<number>): number[] {
  const rows: number[] = [];
  for (let index = 0; index < nodes.length; ) {
    rows.push(index);
    index = folded.has(index) ? end[index]! : index + 1;
  }
  return rows;
}

const nameOf = (node: Node): string => (node.kind === "waiting" ? "Waiting for the person" : node.tool || node.model || words(node.name.replace(/^.*\./, "")));

export function Waterfall({ nodes, duration_ms, search }: { nodes: readonly Node[]; duration_ms: number; search: string }) {
  const total = Math.max(duration_ms, 1);
  const view = useRef<HTMLDivElement>(null);
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const [zoom, setZoom] = useState<Span>({ from: 0, took: total });
  const [first, setFirst] = useState(0);
  const [height, setHeight] = useState(600);
  const [at, setAt] = useState(0);
  const tree = useMemo(() => treeOf(nodes), [nodes]);
  const hits = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return wanted ? new Set(nodes.flatMap((node, index) => (`${node.name} ${node.tool} ${node.model} ${node.agent} ${node.error_class}`.toLowerCase().includes(wanted) ? [index] : []))) : null;
  }, [nodes, search]);
  const rows = useMemo(() => (hits ? [...hits] : unfolded(nodes, tree, folded)), [nodes, tree, folded, hits]);
  useEffect(() => {
    const resize = new ResizeObserver(([entry]) => setHeight(entry!.contentRect.height));
    resize.observe(view.current!);
    return () => resize.disconnect();
  }, []);
  const from = Math.max(0, Math.min(first, rows.length - 1) - OVERSCAN);
  const most = Math.ceil(height / ROW) + 1 + 2 * OVERSCAN;
  const toggle = (index: number, open = folded.has(index)): void => {
    const next = new Set(folded);
    open ? next.delete(index) : next.add(index);
    setFolded(next);
  };
  const select = (row: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, row));
    setAt(next);
    const element = view.current!;
    if (next * ROW < element.scrollTop) element.scrollTop = next * ROW;
    else if ((next + 1) * ROW > element.scrollTop + element.clientHeight) element.scrollTop = (next + 1) * ROW - element.clientHeight;
  };
  const onKey = (event: KeyboardEvent): void => {
    const index = rows[at];
    const node = index === undefined ? undefined : nodes[index];
    const moves: Readonly<Record<string, () => void>> = {
      ArrowDown: () => select(at + 1),
      ArrowUp: () => select(at - 1),
      PageDown: () => select(at + 20),
      PageUp: () => select(at - 20),
      Home: () => select(0),
      End: () => select(rows.length - 1),
      ArrowRight: () => node && toggle(index!, true),
      ArrowLeft: () => node && (tree.end[index!]! > index! + 1 && !folded.has(index!) ? toggle(index!, false) : select(rows.indexOf(tree.above[index!]!))),
      z: () => node && setZoom(zoom.took < total ? { from: 0, took: total } : spanOf(node)),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  };
  const fold = (depth: number): void => setFolded(new Set(nodes.flatMap((node, index) => (node.depth >= depth && tree.end[index]! > index + 1 ? [index] : []))));
  const pointed = (event: Event): HTMLElement | null => (event.target as Element).closest<HTMLElement>(".wf-row");
  const onClick = (event: Event): void => {
    const row = Number(pointed(event)?.dataset["row"] ?? NaN);
    const index = rows[row];
    if (index === undefined) return;
    setAt(row);
    if (tree.end[index]! > index + 1) toggle(index);
  };
  const onDoubleClick = (event: Event): void => {
    const node = nodes[rows[Number(pointed(event)?.dataset["row"] ?? NaN)]!];
    if (node) setZoom(spanOf(node));
  };
  /** Made when it is looked at: most rows only fly by. */
  const explain = (event: Event): void => {
    const row = pointed(event);
    const node = row && nodes[rows[Number(row.dataset["row"])]!];
    if (node) row.title = describe(node);
  };
  const deepest = useMemo(() => nodes.reduce((deep, node) => Math.max(deep, node.depth), 0), [nodes]);
  return (
    <>
      <div class="wf-head">
        <span class="wf-depth">
          Step
          <span class="segments" role="group" aria-label="Fold below a depth">
            {[1, 2, 3].filter((depth) => depth <= deepest).map((depth) => (
              <button type="button" key={depth} onClick={() => fold(depth)} title={`Fold below depth ${depth}`}>
                {depth}
              </button>
            ))}
            <button type="button" onClick={() => setFolded(new Set())}>
              all
            </button>
          </span>
        </span>
        <span class="wf-axis">
          {[0, 1, 2, 3].map((quarter) => (
            <span key={quarter}>{duration(zoom.from + (zoom.took * quarter) / 4)}</span>
          ))}
          {zoom.took < total && (
            <button type="button" class="link" onClick={() => setZoom({ from: 0, took: total })}>
              Whole prompt
            </button>
          )}
        </span>
        <span class="num">Tokens</span>
        <span class="num">Cost</span>
      </div>
      <div class="wf-view" ref={view} tabIndex={0} role="tree" aria-label="Steps of the prompt" aria-activedescendant={rows.length ? `wf-${rows[at] ?? 0}` : undefined} onScroll={(event) => setFirst(Math.floor(event.currentTarget.scrollTop / ROW))} onKeyDown={onKey} onClick={onClick} onDblClick={onDoubleClick} onPointerOver={explain}>
        <div style={{ height: rows.length * ROW, position: "relative" }} role="presentation">
          {rows.slice(from, from + most).map((index, offset) => {
            const node = nodes[index]!;
            const row = from + offset;
            const open = tree.end[index]! > index + 1 ? !folded.has(index) : undefined;
            return <Row key={index} {...{ node, index, row, open, zoom }} named={tree.named[index] === 1} selected={row === at} />;
          })}
        </div>
      </div>
      <div class="legend card-body">
        {([["llm", "Model"], ["tool", "Tool"], ["waiting", "Waiting for the person"], ["interaction", "Interaction"], ["other", "Other"]] as const).map(([kind, text]) => (
          <span class="state dim" key={kind}>
            <i class={`swatch k-${kind}`} /> {text}
          </span>
        ))}
        <span class="dim">
          {count(rows.length)} of {count(nodes.length)} steps shown
        </span>
      </div>
    </>
  );
}

const spanOf = (node: Node): Span => ({ from: node.start_ms, took: Math.max(node.duration_ms, 1) });

interface RowProps {
  node: Node;
  index: number;
  row: number;
  /** Nothing for a node without any below it. */
  open: boolean | undefined;
  /** Whether the agent is another one than above. */
  named: boolean;
  selected: boolean;
  zoom: Span;
}

/** Drawn again only when something of it has changed, whatever else moves. */
const Row = memo(function Row({ node, index, row, open, named, selected, zoom }: RowProps) {
  const place = (from: number, took: number): { left: string; width: string } => ({ left: `${(100 * (from - zoom.from)) / zoom.took}%`, width: `${(100 * took) / zoom.took}%` });
  return (
    <div id={`wf-${index}`} class="wf-row" role="treeitem" data-row={row} aria-level={node.depth + 1} aria-expanded={open} aria-selected={selected} style={{ transform: `translateY(${row * ROW}px)` }}>
      <div class="name" style={{ paddingLeft: Math.min(node.depth, 16) * INDENT }}>
        <span class="fold" aria-hidden="true">
          {open !== undefined && <Icon name={open ? "down" : "right"} />}
        </span>
        {node.status === "error" && <span class="dot bad" role="img" aria-label="failed" />}
        <span class={node.synthetic ? "dim" : undefined}>{nameOf(node)}</span>
        {named && <span class="badge">{node.agent.slice(0, 16)}</span>}
        {node.depth > 16 && <span class="badge">depth {node.depth}</span>}
      </div>
      <div class="lane" aria-hidden="true">
        <i class={`k-${node.kind}`} style={place(node.start_ms, node.duration_ms)} />
        {node.waiting_ms > 0 && node.kind !== "waiting" && <i class="k-waiting" style={place(node.start_ms, Math.min(node.waiting_ms, node.duration_ms))} />}
      </div>
      <span class="num">{node.subtree_tokens ? compact(node.subtree_tokens) : ""}</span>
      <span class="num">{node.subtree_cost_usd ? dollars(node.subtree_cost_usd) : ""}</span>
    </div>
  );
});

const describe = (node: Node): string =>
  [
    node.name,
    `${duration(node.duration_ms)}, from ${duration(node.start_ms)}`,
    node.waiting_ms ? `${duration(node.waiting_ms)} waiting for the person` : "",
    node.input_tokens || node.output_tokens ? `${compact(node.input_tokens)} in, ${compact(node.output_tokens)} out, ${compact(node.cache_read_tokens)} from cache` : "",
    node.cost_usd ? `${dollars(node.cost_usd)} itself, ${dollars(node.subtree_cost_usd)} with all below` : "",
    node.error_class,
  ]
    .filter(Boolean)
    .join("\n");
