// libFuzzer on recipes. A recipe that is taken must come back from its own text as the same recipe, as a resumed run needs.

import Support
import Recipes
import Training

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readRecipe(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  do {
    let recipe = try Recipe(yaml: text, file: "input", folder: "/data", catalogue: .standard)
    let resolved = recipe.resolvedYAML
    let again = try Recipe(yaml: resolved, file: "resolved", folder: "/data", catalogue: .standard)
    precondition(again.resolvedYAML == resolved)
  } catch let failure as Failure {
    precondition([.badData, .missingInput].contains(failure.status) && !"\(failure)".contains(where: \.isNewline))
  } catch {
    fatalError("\(error)")
  }
  return 0
}
