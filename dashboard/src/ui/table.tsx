/** Tables that sort, page by "show more", open their rows and leave as CSV. */
import { createTable, getCoreRowModel, getSortedRowModel, type ColumnDef, type SortingState, type Table } from "@tanstack/table-core";
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Cell } from "../lib/csv";
import { visit } from "../lib/place";
import { Icon } from "./icons";

export interface Column<T> {
  id: string;
  title: string;
  /** What is sorted by, and what the CSV holds. */
  value: (row: T) => Cell;
  show?: (row: T) => ComponentChildren;
  numeric?: boolean;
  hint?: string;
}

interface TableProps<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  sort?: string;
  /** Address of a row's detail. */
  open?: (row: T) => string;
  selected?: string | undefined;
  page?: number;
}

export const cells = <T,>(columns: readonly Column<T>[], rows: readonly T[]): Cell[][] => rows.map((row) => columns.map((column) => column.value(row)));

function useTable<T>(rows: readonly T[], columns: readonly Column<T>[], sorting: SortingState, onSorting: (next: SortingState) => void): Table<T> {
  const defs = useMemo<ColumnDef<T>[]>(
    () =>
      columns.map((column) => ({
        id: column.id,
        accessorFn: (row) => column.value(row) ?? undefined,
        sortUndefined: "last",
        sortDescFirst: column.numeric ?? false,
        ...(column.numeric ? { sortingFn: "basic" as const } : {}),
      })),
    [columns],
  );
  const table = useMemo(
    () =>
      createTable<T>({
        data: [],
        columns: [],
        state: {},
        onStateChange: () => undefined,
        renderFallbackValue: null,
        getCoreRowModel: getCoreRowModel(),
        getSortedRowModel: getSortedRowModel(),
      }),
    [],
  );
  table.setOptions((before) => ({
    ...before,
    data: rows as T[],
    columns: defs,
    state: { ...table.initialState, sorting },
    onSortingChange: (change) => onSorting(typeof change === "function" ? change(sorting) : change),
  }));
  return table;
}

export function DataTable<T>({ label, rows, columns, rowKey, sort, open, selected, page = 50 }: TableProps<T>) {
  const first = sort?.replace("-", "");
  const [sorting, setSorting] = useState<SortingState>(first ? [{ id: first, desc: sort!.startsWith("-") }] : []);
  const [shown, setShown] = useState(page);
  const table = useTable(rows, columns, sorting, setSorting);
  const sorted = table.getSortedRowModel().rows;
  return (
    <>
      <div class="table-wrap" tabIndex={0} role="region" aria-label={label}>
        <table>
          <thead>
            <tr>
              {table.getFlatHeaders().map((header, index) => {
                const column = columns[index]!;
                const order = header.column.getIsSorted();
                return (
                  <th key={column.id} scope="col" class={column.numeric ? "num" : undefined} title={column.hint} aria-sort={order ? (order === "asc" ? "ascending" : "descending") : undefined}>
                    {column.title ? (
                      <button type="button" onClick={() => header.column.toggleSorting()}>
                        {column.title}
                        {order && <Icon name={order === "asc" ? "up" : "down"} />}
                      </button>
                    ) : (
                      <span class="sr">{spoken(column.id)}</span>
                    )}
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, shown).map(({ original: row }) => {
              const key = rowKey(row);
              const address = open?.(row);
              return (
                <tr key={key} class={address ? "open" : undefined} aria-selected={selected === undefined ? undefined : selected === key} onClick={address ? (event) => !(event.target as Element).closest("a") && visit(address) : undefined}>
                  {columns.map((column, index) => {
                    const content = column.show ? column.show(row) : column.value(row);
                    return (
                      <td key={column.id} class={column.numeric ? "num" : undefined}>
                        {address && index === 0 ? (
                          <a href={address}>
                            {content}
                          </a>
                        ) : (
                          content
                        )}
                      </td>
                    );
                  })}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {sorted.length > shown && (
        <button type="button" class="more" onClick={() => setShown(shown + page * 2)}>
          Show more ({sorted.length - shown} left)
        </button>
      )}
    </>
  );
}

/** A column without a title of its own still has one for readers. */
const spoken = (id: string): string => (id === "act" ? "Actions" : "Point");
