// The report is one self-contained, well-formed page that shows what it was given.

import Foundation
import Support
import Testing
import Training

@Suite struct ReportTests {
  private func line(_ step: Int, isEvaluated: Bool) -> LogEntry {
    let time = Double(step)
    let losses: [String: Double] = [
      "source/fused": 2.5 / time, "mixed/fused": 1 + 0.1 * Double(step % 7), "confident-share": 0.5,
    ]
    return LogEntry(
      step: step, losses: losses, learningRate: 6e-5 * (1 - time / 1000), imagesPerSecond: 2,
      seconds: ["teacher": 0.25, "source": 0.75], bytesReduced: 0, peakMemoryBytes: 0,
      mIoU: isEvaluated ? ["student": time / 25, "teacher": time / 24] : nil)
  }

  /// A run whose numbers are easy to find again; names carry characters that HTML treats specially.
  private func page(evaluations: Bool = true, pictures: Bool = true) throws -> String {
    var recipe = try recipe(minimal)
    recipe.name = "a<b>&\"c\""
    let log = (1...1000).map { line($0, isEvaluated: evaluations && $0 % 250 == 0) }
    let scores = Scores(mIoU: evaluations ? 40.04 : nil, iou: ["road": 90.06, "sky & sea": nil])
    let summary = Summary(
      step: 1000, worldSize: 2, threads: 1, globalBatch: 4, seconds: 754, imagesPerSecond: 2.125,
      peakMemoryBytes: 3 << 29, student: scores,
      teacher: Scores(mIoU: scores.mIoU, iou: ["road": 90.06, "sky & sea": 4]),
      sourceOnly: evaluations ? Scores(mIoU: 25.5, iou: ["road": 70, "sky & sea": 3.25]) : nil,
      studentDigest: "5d5d", teacherDigest: "7e7e", optimizerDigest: "0f0f", reproducibleAcrossRanks: true)
    let classes = [
      Report.ClassEntry("road", colour: SIMD3(128, 64, 128)),
      Report.ClassEntry("sky & sea", colour: SIMD3(70, 130, 180)),
    ]
    let rows = [Report.PictureRow("img<1>", [.init("image", png: [1, 2, 3]), .init("HRDA", png: [4, 5, 6])])]
    return Report(recipe: recipe, summary: summary, log: log, classes: classes, pictures: pictures ? rows : []).render()
  }

  @Test(arguments: [1e18, 1e30, 1.7e308, -1e30, .leastNonzeroMagnitude, .infinity, .nan])
  func numbersMayBeAsLargeAsTheyLike(
    _ value: Double
  ) throws {
    let json =
      "{\"coverage\": {}, \"confident\": {}, \"source\": {}, \"confidence\": [\(value)], \"distance\": \(value)}"
    let figures = value.isFinite ? try JSONDecoder().decode(PseudoLabelFigures.self, from: Data(json.utf8)) : nil
    let log = [1, 2, Int.max].map { step -> LogEntry in
      var entry = LogEntry(
        step: step, losses: ["source/fused": step == 1 ? 1 : value], learningRate: value, gradientNorm: value,
        imagesPerSecond: value, seconds: ["source": value], bytesReduced: Int.max, peakMemoryBytes: Int.max,
        mIoU: ["student": value])
      entry.pseudoLabels = figures
      return entry
    }
    let summary = Summary(
      step: Int.max, worldSize: 1, threads: 1, globalBatch: 1, seconds: value, imagesPerSecond: value,
      peakMemoryBytes: Int.max, student: Scores(mIoU: value, iou: ["road": value]),
      teacher: Scores(mIoU: nil, iou: [:]), studentDigest: "", teacherDigest: "", optimizerDigest: "",
      reproducibleAcrossRanks: true)
    let page = Report(
      recipe: try recipe(minimal), summary: summary, log: log,
      classes: [Report.ClassEntry("road", colour: SIMD3(128, 64, 128))], pictures: []
    ).render()
    #expect(page.contains("</html>") && !page.contains("M nan") && !page.contains("Lnan"))
    #expect(value != 1e18 || page.contains("1e+18"))
  }

  @Test func nothingIsLoadedFromElsewhere() throws {
    let page = try page()
    for word in ["http:", "https:", "//", "@import", "<script", "<link", "url("] {
      #expect(!page.contains(word), "the page contains \(word)")
    }
  }

  @Test func namesAreEscaped() throws {
    let page = try page()
    #expect(page.contains("<h1>a&lt;b&gt;&amp;&quot;c&quot;</h1>"))
    #expect(page.contains("sky &amp; sea") && !page.contains("sky & sea") && !page.contains("img<1>"))
  }

  @Test func figuresAreShown() throws {
    let page = try page()
    #expect(page.contains("40.0 %") && page.contains("+14.5 against source-only"))
    #expect(page.contains("<td>70.0</td><td>90.1</td>") && page.contains("<td>+20.1</td>"))
    #expect(page.contains("<td>3.2</td><td>–</td><td><b>4.0</b></td>"))
    #expect(page.contains("2 × 1") && page.contains("1.5 GiB") && page.contains("13 min of training"))
    #expect(page.contains("5d5d") && page.contains("7e7e") && page.contains("0f0f") && page.contains(programVersion))
    #expect(page.contains("0.75 s, 75.0 %") && page.contains("AQID") && page.contains("BAUG"))
    #expect(page.contains("student, step 250: 10"))
  }

  @Test func curvesStayInsideTheirFrame() throws {
    let page = try page()
    let paths = page.components(separatedBy: "<path class=\"curve ").dropFirst()
    #expect(paths.count == 6)
    for path in paths {
      let data = path.components(separatedBy: "d=\"M")[1].components(separatedBy: "\"")[0]
      let points = data.split(separator: "L").map { $0.split(separator: " ").compactMap { Double($0) } }
      #expect((1...300).contains(points.count))
      for point in points {
        #expect(point.count == 2 && (56...944).contains(point[0]) && (12...252).contains(point[1]), "\(point)")
      }
    }
  }

  @Test func tagsAreBalanced() throws {
    for page in [try page(), try page(evaluations: false, pictures: false)] {
      for tag in ["section", "table", "div", "figure", "svg", "tr", "span", "main", "p", "details", "circle", "text"] {
        let opened = page.components(separatedBy: "<\(tag)>").count + page.components(separatedBy: "<\(tag) ").count - 2
        #expect(opened == page.components(separatedBy: "</\(tag)>").count - 1, "\(tag)")
      }
      #expect(!page.contains("nan") && !page.contains("Optional("))
    }
  }

  @Test func partsWithoutDataAreLeftOut() throws {
    let page = try page(evaluations: false, pictures: false)
    #expect(!page.contains("IoU by class") && !page.contains("Validation images"))
    #expect(page.contains("Losses as they enter the sum"))
  }
}
