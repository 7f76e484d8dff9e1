// swift-tools-version: 6.2
import PackageDescription

// Floors, lowest first. A target may use those of lower floors only; Tests/ArchitectureTests enforces it.
let warningsAreErrors: [SwiftSetting] = [.treatAllWarnings(as: .error)]

func floor(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: warningsAreErrors)
}

func tests(_ subject: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: "\(subject)Tests", dependencies: dependencies + ["TestSupport"],
    swiftSettings: warningsAreErrors)
}

let package = Package(
  name: "apus",
  products: [
    .executable(name: "apus", targets: ["apus"]),
    // Stands before the C library's malloc where a benchmark asks for it; nothing is linked with it.
    .library(name: "HeapCount", type: .dynamic, targets: ["CHeap"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2", traits: []),
  ],
  targets: [
    // 0: system libraries and C
    .systemLibrary(
      name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5-serial", providers: [.apt(["libhdf5-dev"])]),
    // For tests alone: loaded into a process, it starts threads before main and ends what gets none.
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CDNNL", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CTurboJPEG", providers: [.apt(["libturbojpeg0-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "CKernels"),
    .target(name: "CHeap"),
    // 1
    floor("Support", ["CCrypto"]),
    // 2
    floor("Tensors", ["Support", "CKernels"]),
    floor("Collectives", ["Support", "CKernels"]),
    floor("Launching", ["Support", .product(name: "Subprocess", package: "swift-subprocess")]),
    // 3
    floor("Kernels", ["Tensors", "Support", "CKernels", "CDNNL"]),
    floor("CollectivesMPI", ["Collectives", "Support", "CMPI"]),
    floor("CollectivesTesting", ["Collectives", "Support"]),
    floor("Imagery", ["Tensors", "Support", "CPNG", "CTurboJPEG"]),
    // 4
    floor("Autograd", ["Kernels", "Tensors", "Collectives", "Support"]),
    floor("Storage", ["Tensors", "Support"]),
    floor("WeightFiles", ["Support"]),
    floor("StorageHDF5", ["Storage", "Tensors", "Support", "CHDF5"]),
    // 5
    floor("Networks", ["Autograd", "Kernels", "Tensors", "Collectives", "Support"]),
    floor("Domains", ["Imagery", "Kernels", "Tensors", "Support"]),
    // 6
    floor("Optimization", ["Kernels", "Tensors", "Support"]),
    floor("DataParallel", ["Kernels", "Tensors", "Collectives", "Support"]),
    // 7
    floor(
      "Adaptation",
      [
        "Optimization", "DataParallel", "Domains", "Networks", "Autograd", "Kernels", "Tensors",
        "Collectives", "Support",
      ]),
    // 8
    floor(
      "Recipes",
      [
        "Adaptation", "Optimization", "DataParallel", "Domains", "Networks", "Kernels", "Imagery", "Collectives",
        "Support", .product(name: "Yams", package: "Yams"),
      ]),
    floor(
      "Methods",
      [
        "Adaptation", "Optimization", "Domains", "Networks", "Autograd", "Kernels", "Tensors", "Collectives", "Support",
      ]),
    // 9
    floor(
      "Training",
      [
        "Recipes", "Methods", "Adaptation", "Optimization", "DataParallel", "Domains", "Networks", "Autograd",
        "Kernels", "Imagery", "Storage", "WeightFiles", "Tensors", "Collectives", "Support",
      ]),
    floor(
      "Verification",
      [
        "Training", "Methods", "Adaptation", "Optimization", "DataParallel", "Domains", "Networks", "Autograd",
        "Kernels", "Storage", "Tensors", "Collectives", "Support",
      ]),
    // 10
    floor(
      "Benchmarks",
      [
        "Training", "Recipes", "Methods", "Adaptation", "Optimization", "DataParallel", "Domains", "Networks",
        "Kernels", "Storage", "Tensors", "Collectives", "Support",
      ]),
    // 11
    floor(
      "Scaling",
      [
        "Benchmarks", "Training", "Recipes", "DataParallel", "Storage", "Tensors", "Kernels", "Collectives",
        "Launching", "Support",
      ]),
    // 12
    .executableTarget(
      name: "apus",
      dependencies: [
        "Scaling", "Benchmarks", "Verification", "Training", "Recipes", "StorageHDF5", "CollectivesMPI",
        "DataParallel", "Domains",
        "Networks", "Kernels", "Imagery", "Storage", "WeightFiles", "Tensors", "Collectives", "Launching", "Support",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: warningsAreErrors),
    // Tests
    .target(
      name: "TestSupport",
      dependencies: [
        "Verification", "Networks", "Autograd", "Kernels", "Tensors", "Collectives", "StorageHDF5", "Support",
      ],
      path: "Tests/TestSupport", swiftSettings: warningsAreErrors),
    tests("Architecture", []),
    tests("Support", ["Support"]),
    tests("Tensors", ["Tensors", "Support"]),
    tests("Collectives", ["Collectives", "CollectivesTesting", "Support"]),
    tests("Launching", ["Launching", "Support"]),
    tests("Kernels", ["Kernels", "Tensors", "Support", "COpenBLAS"]),
    tests("Imagery", ["Imagery", "Tensors", "Support"]),
    tests("Autograd", ["Autograd", "Kernels", "Tensors", "Collectives", "CollectivesTesting", "Support"]),
    tests("Storage", ["StorageHDF5", "CHDF5", "Storage", "Tensors", "Collectives", "Support"]),
    tests("WeightFiles", ["WeightFiles", "Support"]),
    tests(
      "Networks",
      [
        "Networks", "Autograd", "Kernels", "WeightFiles", "Imagery", "Tensors", "Collectives", "CollectivesTesting",
        "StorageHDF5",
        "Support",
      ]),
    tests("Domains", ["Domains", "Imagery", "Tensors", "Support"]),
    tests("Optimization", ["Optimization", "Networks", "Tensors", "Support"]),
    tests("DataParallel", ["DataParallel", "Networks", "Tensors", "Collectives", "CollectivesTesting", "Support"]),
    tests(
      "Adaptation",
      [
        "Methods", "Adaptation", "Optimization", "DataParallel", "Domains", "Networks", "Autograd", "Kernels",
        "Tensors", "Collectives", "CollectivesTesting", "StorageHDF5", "Support",
      ]),
    tests(
      "Training",
      [
        "Benchmarks", "Training", "Recipes", "Methods", "Adaptation", "Optimization", "DataParallel", "Domains",
        "Networks", "Autograd", "Kernels", "Imagery", "Storage", "StorageHDF5", "WeightFiles", "Tensors", "Collectives",
        "CollectivesTesting", "Support",
      ]),
    tests(
      "Catalogue",
      [
        "apus", "Training", "Recipes", "Methods", "Adaptation", "Domains", "Networks", "Autograd", "StorageHDF5",
        "Tensors", "Collectives", "CollectivesTesting", "Support",
      ]),
    tests(
      "Scaling",
      [
        "Scaling", "Benchmarks", "Training", "Recipes", "DataParallel", "StorageHDF5", "Storage", "Collectives",
        "CollectivesTesting", "Launching", "Support",
      ]),
    tests("Verification", ["Verification", "StorageHDF5", "Storage", "Tensors", "Support"]),
    tests("Command", ["apus", "Training", "Recipes", "Methods", "StorageHDF5", "Storage", "Support"]),
  ],
  swiftLanguageModes: [.v6]
)
