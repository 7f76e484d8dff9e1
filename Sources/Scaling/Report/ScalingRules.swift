// The twelve rules of Hoefler and Belli (SC 2015), and how a study keeps them.

import Support

enum ScalingRules {
  /// Each rule with how it is kept here.
  static func kept(_ results: StudyResults) -> [(rule: String, how: String)] {
    let dropped = results.dropped.count
    let thin = results.cells.filter { $0.nature == .measured && $0.interval?.isSound == false }.map(\.cell.name)
    return [
      ("1 base of speed-ups", "each speed-up names its base and the base's seconds"),
      ("2 reason for subsets", "all cells of the study are shown, also those without launches"),
      ("3 means of costs", "cost is from arithmetic means of seconds"),
      ("4 no means of ratios", "ratios are of medians; their intervals are bootstrapped as ratios"),
      (
        "5 spread",
        thin.isEmpty
          ? "every median has its 95 % interval" : "range only, too few launches: \(thin.joined(separator: ", "))"
      ),
      ("6 no assumed normality", "order statistics and bootstrap; nothing assumes a distribution"),
      ("7 comparisons", "blocks pair launches of one time; intervals of ratios, not of parts, compare"),
      ("8 measure for the question", "place by medians, cost by means"),
      ("9 all factors", "fixed and varied settings above; processor, kernel, libraries, load and steal in every file"),
      ("10 parallel time", "a step lasts as long as on its slowest rank; launches are the unit"),
      ("11 bounds", "ideal, and the operations of the busiest rank"),
      (
        "12 everything shown",
        dropped == 0 ? "every launch is drawn" : "every launch is drawn, the \(dropped) dropped as crosses"
      ),
    ]
  }
}
