// The names that recipes may use: what the catalogues of the floors below hold.

import Domains
import Methods
import Networks
import Recipes

extension RecipeCatalogue {
  /// The methods, encoders, kinds of data set, class sets and label maps that this program has.
  public static var standard: RecipeCatalogue {
    RecipeCatalogue(
      methods: MethodCatalogue.entries,
      encoders: EncoderCatalogue.names,
      dataSets: DatasetCatalogue.entries.map(\.kind),
      classSets: Dictionary(uniqueKeysWithValues: ClassSet.builtIn.map { ($0.name, $0.count) }),
      labelMaps: LabelIdMap.names)
  }
}
