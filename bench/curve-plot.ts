/** Curves over a logarithmic axis as SVG, for reports. */

import * as echarts from "echarts";

export interface Curve {
  readonly title: string;
  readonly x: { readonly label: string; readonly values: readonly number[] };
  readonly y: { readonly label: string; readonly max?: number };
  readonly series: readonly { readonly name: string; readonly values: readonly number[] }[];
}

export function curvePlot({ title, x, y, series }: Curve): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 640, height: 360 });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: "white",
      title: { text: title, left: "center" },
      legend: { bottom: 0 },
      grid: { left: 60, right: 30, top: 50, bottom: 80 },
      xAxis: { type: "log", name: x.label, nameLocation: "middle", nameGap: 28, min: x.values[0] },
      yAxis: { type: "value", name: y.label, min: 0, ...(y.max !== undefined && { max: y.max }) },
      series: series.map(({ name, values }) => ({
        name,
        type: "line",
        data: values.map((value, at) => [x.values[at], value]),
      })),
    });
    return `${chart.renderToSVGString()}\n`;
  } finally {
    chart.dispose();
  }
}
