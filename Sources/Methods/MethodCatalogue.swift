// The methods that recipes may name. A new one is one file and one line here; docs/methods.md has a row for each.

import Adaptation

/// Every method, in the order in which objectives act in a step.
public enum MethodCatalogue {
  /// One line for each method.
  public static let entries: [MethodEntry] = [
    MethodEntry(
      "source-only", .sourceOnly, paper: "supervised training on the source domain", figure: "20.0 ± 1.8 on streets"),
    MethodEntry("target-only", .sourceFree, paper: "self-training on target images alone"),
    MethodEntry(
      "adaptsegnet", .adversarial, options: AdaptSegNetOptions(),
      paper: "Tsai et al.: Learning to adapt structured output space for semantic segmentation, CVPR 2018",
      figure: "20.3 ± 0.7 on streets"),
    MethodEntry(
      "advent", .adversarial, options: AdvEntOptions(),
      paper: "Vu et al.: ADVENT, adversarial entropy minimization for domain adaptation, CVPR 2019",
      figure: "20.2 ± 0.6 on streets"),
    MethodEntry(
      "minent", .adversarial, options: MinEntOptions(),
      paper: "Vu et al.: ADVENT, direct entropy minimization, CVPR 2019", figure: "20.1 ± 0.5 on streets"),
    MethodEntry(
      "dacs", .selfTraining,
      paper: "Tranheden, Olsson, Pinto, Svensson: DACS, domain adaptation via cross-domain mixed sampling, WACV 2021",
      figure: "23.2 ± 0.1 on streets"),
    MethodEntry(
      "daformer", .selfTraining,
      paper:
        "Hoyer, Dai, Van Gool: DAFormer, improving network architectures and training strategies for domain-adaptive "
        + "semantic segmentation, CVPR 2022", figure: "27.3 ± 0.3 on streets"),
    MethodEntry(
      "hrda", .selfTraining,
      paper:
        "Hoyer, Dai, Van Gool: HRDA, context-aware high-resolution domain-adaptive semantic segmentation, ECCV 2022",
      figure: "25.2 ± 0.6 on streets"),
    MethodEntry(
      "mic", .selfTraining, options: MaskedConsistencyOptions(),
      paper:
        "Hoyer, Dai, Wang, Van Gool: MIC, masked image consistency for context-enhanced domain adaptation, CVPR 2023",
      figure: "24.2 ± 1.1 on streets"),
    MethodEntry(
      "hrda-dg", .sourceOnly, options: StyleHallucinationOptions(),
      paper:
        "Hoyer, Dai, Van Gool: Domain adaptive and generalizable network architectures and training strategies for "
        + "semantic image segmentation, TPAMI 2024, with the styles of Zhao et al., SHADE, ECCV 2022",
      figure: "21.8 ± 1.0 on streets"),
    MethodEntry(
      "ehtdi", .selfTraining, options: TargetInformationOptions(),
      paper: "Li et al.: EHTDI, exploring high-quality target domain information, ACM MM 2022",
      figure: "23.7 ± 0.7 on streets"),
    MethodEntry(
      "cluda", .selfTraining, options: ClassContrastOptions(),
      paper: "Vayyat et al.: CLUDA, contrastive learning in unsupervised domain adaptation, arXiv 2022",
      figure: "24.2 ± 0.4 on streets"),
    MethodEntry(
      "spcl", .adversarial, options: SemanticPrototypesOptions(),
      paper:
        "Xie, Yin, Li, Cheng: SPCL, a new framework for domain adaptive semantic segmentation via semantic "
        + "prototype-based contrastive learning, arXiv 2021", figure: "19.9 ± 0.6 on streets"),
    MethodEntry(
      "clan", .adversarial, options: CategoryAlignmentOptions(),
      paper:
        "Luo et al.: Taking a closer look at domain shift, category-level adversaries for semantics consistent domain "
        + "adaptation, CVPR 2019", figure: "18.6 on streets"),
    MethodEntry(
      "crda", .selfTraining, options: RelationConsistencyOptions(),
      paper: "Koh, Fernando: Consistency regularization for domain adaptation, ECCV workshops 2022",
      figure: "26.2 ± 1.5 on streets"),
    MethodEntry(
      "camix", .selfTraining, options: ContextMixingOptions(),
      paper: "Zhou et al.: Context-aware mixup for domain adaptive semantic segmentation, TCSVT 2022",
      figure: "23.1 ± 0.3 on streets"),
    MethodEntry(
      "lovasz", .sourceOnly, options: LovaszOptions(),
      paper: "Berman, Rannen Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018"),
    MethodEntry(
      "proca", .adversarial, options: PrototypeAdaptationOptions(),
      paper: "Jiang et al.: Prototypical contrast adaptation for domain adaptive semantic segmentation, ECCV 2022",
      figure: "19.7 on streets"),
    MethodEntry(
      "corda", .selfTraining, options: DepthGuidedAdaptationOptions(),
      paper:
        "Wang, Dai, Hoyer, Van Gool, Fink: CorDA, domain adaptive semantic segmentation with self-supervised depth "
        + "estimation, ICCV 2021", figure: "24.3 ± 0.6 on streets"),
    MethodEntry(
      "tada", .selfTraining, options: TaxonomyAdaptationOptions(),
      paper: "Gong et al.: TACS, taxonomy adaptive cross-domain semantic segmentation, ECCV 2022"),
    MethodEntry(
      "diga", .selfTraining, options: BilateralConsensusOptions(),
      paper:
        "Shen, Gurram, Liu, Wang, Knoll: DiGA, distil to generalize and then adapt for domain adaptive semantic "
        + "segmentation, CVPR 2023", figure: "22.0 on streets"),
    MethodEntry(
      "diga-dg", .sourceOnly, options: SymmetricDistillationOptions(),
      paper: "Shen et al.: DiGA, CVPR 2023, its symmetric distillation alone, for targets that nobody has seen",
      figure: "18.9 on streets"),
  ]
}
