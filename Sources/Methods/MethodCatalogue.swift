// The methods that recipes may name. A new one is one file and one line here; docs/methods.md has a row for each.

import Adaptation

/// Every method, in the order in which objectives act in a step.
public enum MethodCatalogue {
  /// One line for each method.
  public static let entries: [MethodEntry] = [
    MethodEntry("source-only", .sourceOnly, paper: "supervised training on the source domain"),
    MethodEntry("target-only", .sourceFree, paper: "self-training on target images alone"),
    MethodEntry(
      "adaptsegnet", .adversarial, options: AdaptSegNetOptions(),
      paper: "Tsai et al.: Learning to adapt structured output space for semantic segmentation, CVPR 2018"),
    MethodEntry(
      "advent", .adversarial, options: AdvEntOptions(),
      paper: "Vu et al.: ADVENT, adversarial entropy minimization for domain adaptation, CVPR 2019"),
    MethodEntry(
      "minent", .adversarial, options: MinEntOptions(),
      paper: "Vu et al.: ADVENT, direct entropy minimization, CVPR 2019"),
    MethodEntry(
      "dacs", .selfTraining,
      paper: "Tranheden, Olsson, Pinto, Svensson: DACS, domain adaptation via cross-domain mixed sampling, WACV 2021"),
    MethodEntry(
      "daformer", .selfTraining,
      paper:
        "Hoyer, Dai, Van Gool: DAFormer, improving network architectures and training strategies for domain-adaptive "
        + "semantic segmentation, CVPR 2022"),
    MethodEntry(
      "hrda", .selfTraining,
      paper:
        "Hoyer, Dai, Van Gool: HRDA, context-aware high-resolution domain-adaptive semantic segmentation, ECCV 2022"),
    MethodEntry(
      "mic", .selfTraining, options: MaskedConsistencyOptions(),
      paper:
        "Hoyer, Dai, Wang, Van Gool: MIC, masked image consistency for context-enhanced domain adaptation, CVPR 2023"),
    MethodEntry(
      "hrda-dg", .sourceOnly, options: StyleHallucinationOptions(),
      paper:
        "Hoyer, Dai, Van Gool: Domain adaptive and generalizable network architectures and training strategies for "
        + "semantic image segmentation, TPAMI 2024, with the styles of Zhao et al., SHADE, ECCV 2022"),
    MethodEntry(
      "ehtdi", .selfTraining, options: TargetInformationOptions(),
      paper: "Li et al.: EHTDI, exploring high-quality target domain information, ACM MM 2022"),
    MethodEntry(
      "cluda", .selfTraining, options: ClassContrastOptions(),
      paper: "Vayyat et al.: CLUDA, contrastive learning in unsupervised domain adaptation, arXiv 2022"),
    MethodEntry(
      "spcl", .adversarial, options: SemanticPrototypesOptions(),
      paper:
        "Xie, Yin, Li, Cheng: SPCL, a new framework for domain adaptive semantic segmentation via semantic "
        + "prototype-based contrastive learning, arXiv 2021"),
    MethodEntry(
      "clan", .adversarial, options: CategoryAlignmentOptions(),
      paper:
        "Luo et al.: Taking a closer look at domain shift, category-level adversaries for semantics consistent domain "
        + "adaptation, CVPR 2019"),
    MethodEntry(
      "crda", .selfTraining, options: RelationConsistencyOptions(),
      paper: "Koh, Fernando: Consistency regularization for domain adaptation, ECCV workshops 2022"),
    MethodEntry(
      "camix", .selfTraining, options: ContextMixingOptions(),
      paper: "Zhou et al.: Context-aware mixup for domain adaptive semantic segmentation, TCSVT 2022"),
    MethodEntry(
      "lovasz", .sourceOnly, options: LovaszOptions(),
      paper: "Berman, Rannen Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018"),
    MethodEntry(
      "proca", .adversarial, options: PrototypeAdaptationOptions(),
      paper: "Jiang et al.: Prototypical contrast adaptation for domain adaptive semantic segmentation, ECCV 2022"),
    MethodEntry(
      "corda", .selfTraining, options: DepthGuidedAdaptationOptions(),
      paper:
        "Wang, Dai, Hoyer, Van Gool, Fink: CorDA, domain adaptive semantic segmentation with self-supervised depth "
        + "estimation, ICCV 2021"),
    MethodEntry(
      "tada", .selfTraining, options: TaxonomyAdaptationOptions(),
      paper: "Gong et al.: TACS, taxonomy adaptive cross-domain semantic segmentation, ECCV 2022"),
    MethodEntry(
      "diga", .selfTraining, options: BilateralConsensusOptions(),
      paper:
        "Shen, Gurram, Liu, Wang, Knoll: DiGA, distil to generalize and then adapt for domain adaptive semantic "
        + "segmentation, CVPR 2023"),
    MethodEntry(
      "diga-dg", .sourceOnly, options: SymmetricDistillationOptions(),
      paper: "Shen et al.: DiGA, CVPR 2023, its symmetric distillation alone, for targets that nobody has seen"),
  ]
}
