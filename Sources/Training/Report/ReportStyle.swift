// The look of report.html, for light and dark screens and for paper.

/// The page's style sheet.
package let reportStyle = """
  :root{color-scheme:light dark;--page:#fcfcfb;--card:#fff;--ink:#1a1a19;--muted:#66655f;--line:#e3e2dd;--axis:#a9a8a1;
  --s0:#2a78d6;--s1:#eb6834;--s2:#1baf7a;--s3:#4a3aa7;--s4:#b97a00;--s5:#d0508a;--s6:#6fa8a0;--s7:#8c6d46;--s8:#7a8799;--s9:#b9c34a}
  @media(prefers-color-scheme:dark){:root{--page:#161615;--card:#1f1f1d;--ink:#f2f1ec;--muted:#a3a29a;--line:#353430;
  --axis:#6d6c66;--s0:#4a97ee;--s1:#e8703f;--s2:#22b583;--s3:#9c91f0;--s4:#d69a1f;--s5:#e073a5;--s6:#8cc4bc;
  --s7:#b8946a;--s8:#9aa7b8;--s9:#cfd968}}
  *{box-sizing:border-box}
  body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
  main{max-width:1040px;margin:0 auto;padding:32px 20px 48px}
  h1{font-size:28px;line-height:1.2;margin:0}header p{color:var(--muted);margin:6px 0 0}
  h2{font-size:17px;margin:0 0 12px}h3{font-size:14px;font-weight:600;margin:18px 0 8px}
  section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:18px 20px;margin-top:20px}
  .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:1px;padding:0;overflow:hidden;
  background:var(--line)}
  .tile{background:var(--card);padding:14px 18px;display:flex;flex-direction:column}
  .tile span,.tile small{color:var(--muted);font-size:13px}.tile b{font-size:24px;font-weight:600}
  .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
  th,td{padding:4px 14px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
  thead th{color:var(--muted);font-weight:500}th:first-child{text-align:left;padding-left:0}
  tbody th,.facts th{font-weight:400}tfoot th,tfoot td{border-bottom:0;font-weight:600}
  .facts td{text-align:left;white-space:normal}.facts th{color:var(--muted)}
  table i,.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:8px;
  vertical-align:-1px;border:1px solid var(--line)}
  .legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 8px;font-size:13px;color:var(--muted)}
  .row+.legend{margin:14px 0 0}
  svg{display:block;width:100%;height:auto}.plot{overflow-x:auto}.plot svg{min-width:620px}
  .legend svg{display:inline-block;width:26px;height:14px;margin-right:7px;vertical-align:-2px}
  \(drawingStyle)
  .bar{display:grid;grid-template-columns:130px 1fr 130px;gap:12px;align-items:center;margin:6px 0;font-size:14px}
  .bar i{display:block;height:14px;min-width:2px;background:var(--s0);border-radius:0 4px 4px 0}
  .bar span:last-child{color:var(--muted);font-variant-numeric:tabular-nums}
  .row{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px}
  figure{margin:0}img{width:100%;display:block;border-radius:4px;image-rendering:pixelated}
  figcaption{font-size:13px;color:var(--muted);margin-top:4px}
  details{margin-top:14px}summary{cursor:pointer;color:var(--muted)}pre{overflow-x:auto;font-size:13px;line-height:1.4}
  footer{margin-top:24px;color:var(--muted);font-size:13px}code{overflow-wrap:anywhere}
  @media(max-width:600px){.facts th,.facts td{display:block;padding:4px 0;text-align:left}.facts th{border-bottom:0}
  .facts td{padding-top:0}}
  @media print{section{break-inside:avoid}body{background:#fff}.plot svg{min-width:0}}
  """

/// The look of drawings, in pages and in files of their own.
private let drawingStyle = """
  svg text{font-size:13px;fill:var(--muted);font-variant-numeric:tabular-nums}
  .mid{text-anchor:middle}.end{text-anchor:end}.grid{stroke:var(--line)}.axis{stroke:var(--axis)}
  .curve,.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round;stroke:currentColor}
  .dashed{stroke-dasharray:7 5}.error{fill:none;stroke:currentColor;stroke-width:1.5}
  .cross{fill:none;stroke:var(--axis);stroke-width:2}
  circle{fill:currentColor;stroke:var(--card);stroke-width:1.5}
  circle.hollow{fill:var(--card);stroke:currentColor;stroke-width:2}
  path.level{fill:none;stroke:var(--axis);stroke-width:2;stroke-dasharray:6 5}
  .s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}
  .s5{color:var(--s5)}
  .p0{fill:var(--s0)}.p1{fill:var(--s1)}.p2{fill:var(--s2)}.p3{fill:var(--s3)}.p4{fill:var(--s4)}.p5{fill:var(--s5)}
  .p6{fill:var(--s6)}.p7{fill:var(--s7)}.p8{fill:var(--s8)}.p9{fill:var(--s9)}.p10{fill:var(--axis)}
  .p11{fill:var(--line)}.pale{opacity:.35}.heat{fill:var(--s0)}
  """

/// Colours on white.
private let lightColours = [
  "page": "#fcfcfb", "card": "#fff", "ink": "#1a1a19", "muted": "#66655f", "line": "#e3e2dd", "axis": "#a9a8a1",
  "s0": "#2a78d6", "s1": "#eb6834", "s2": "#1baf7a", "s3": "#4a3aa7", "s4": "#b97a00", "s5": "#d0508a",
  "s6": "#6fa8a0", "s7": "#8c6d46", "s8": "#7a8799", "s9": "#b9c34a",
]

/// The style of a file: programs that print need not know variables.
let drawingFileStyle: String = {
  let named = lightColours.reduce(drawingStyle) { style, colour in
    style.replacing("var(--\(colour.key))", with: colour.key == "page" ? "#fff" : colour.value)
  }
  return named + "svg{font-family:Helvetica,Arial,sans-serif}.page{fill:#fff}"
    + "svg .title{font-size:15px;font-weight:bold;fill:#1a1a19}svg text{fill:#33332f}"
}()
