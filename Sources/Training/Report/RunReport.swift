// The report of a run: its log, scores, and pictures of some validation images.

import Domains
import Imagery
import Support
import Tensors

extension Trainer {
  /// The page about the run so far. Rank 0 only.
  /// - Throws: `Failure` if the log or an image cannot be read.
  public func report(_ summary: Summary, log path: String) throws -> String {
    let palette = experiment.classes.palette
    let entries = zip(palette.names, palette.colours).map { Report.ClassEntry($0, colour: $1) }
    return Report(
      recipe: experiment.recipe, summary: summary, log: try RunLog.read(path), classes: entries,
      pictures: try pictures()
    ).render()
  }

  /// Four validation images, evenly spaced: image, label, and what each network makes of them.
  private func pictures() throws -> [Report.PictureRow] {
    guard let validation = experiment.validation else { return [] }
    let shown = min(4, validation.count)
    let palette = experiment.classes.palette
    return try (0..<shown).map { number in
      let index = number * validation.count / shown
      let image = try validation.image(index)
      var pictures = [Report.Picture("image", png: encodePNG(image))]
      if let labels = try validation.labels(index) {
        pictures.append(Report.Picture("label", png: encodePNG(colourised(labels, palette))))
      }
      for (name, network) in networks {
        let labels = try experiment.recipe.predictor(network).predict(image).labels
        pictures.append(Report.Picture(name, png: encodePNG(colourised(labels, palette))))
      }
      return Report.PictureRow(validation.name(index), pictures)
    }
  }
}
