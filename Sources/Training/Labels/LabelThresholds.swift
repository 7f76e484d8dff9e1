// From counts of confidences to what a label of each class needs.

import Adaptation
import Recipes
import Support

/// Least confidences by class, as stored in 16 bits.
struct LabelThresholds {
  /// By class.
  let values: [UInt16]

  /// A class's quantile, but no more than the cap, and no less than the threshold of all classes. A class without pixels
  /// has quantile 0.
  init(_ counts: ConfidenceHistogram, _ recipe: Recipe.Labels) {
    let (cap, least) = (
      ConfidenceHistogram.stored(Float(recipe.cap)), ConfidenceHistogram.stored(Float(recipe.threshold))
    )
    values = (0..<counts.classes).map { label in
      max(least, min(counts.quantile(recipe.quantile, of: label) ?? 0, cap))
    }
  }
}

extension ConfidenceHistogram {
  /// SHA-256 of the counts, in hexadecimal.
  var digest: String {
    let hash = SHA256()
    for (place, count) in counts.enumerated() where count > 0 { hash.update("\(place) \(count)\n") }
    return hash.hexadecimal()
  }
}
