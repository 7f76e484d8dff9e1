// What stands and moves on the street: traffic, parked cars, people, trees, posts, lights and signs.

import Support

/// Something on the street, painted after everything farther away.
struct SceneObject {
  /// Distance of its nearest part.
  let depth: Float
  /// Where it stands, and the half-widths of its shadow; nil without one.
  let shadow: (x: Float, across: Float, ahead: Float)?
  /// Draws it.
  let paint: (inout SceneCanvas) -> Void

  init(
    _ depth: Float, shadow: (x: Float, across: Float, ahead: Float)? = nil,
    _ paint: @escaping (inout SceneCanvas) -> Void
  ) {
    self.depth = depth
    self.shadow = shadow
    self.paint = paint
  }

  /// Darkens the ground: hard and to one side in sunlight, soft and below otherwise.
  func paintShadow(_ style: SceneStyle, on canvas: inout SceneCanvas) {
    guard let shadow else { return }
    let sunny = style.shadowSide != 0
    let middle = shadow.x + style.shadowSide * (shadow.across + 0.3)
    let centre = depth + shadow.ahead
    canvas.flat(
      y: 0, x: middle - shadow.across...middle + shadow.across, z: max(0.5, depth)...depth + 2 * shadow.ahead,
      label: SceneCanvas.keep
    ) { x, z in
      let (u, v) = ((x - middle) / shadow.across, (z - centre) / shadow.ahead)
      let square = shadow.ahead > 1.8 ? max(u * u, v * v) : u * u + v * v
      guard square < 1 else { return nothing }
      return Domains.paint(Colour(0.04, 0.05, 0.08), opacity: sunny ? style.shadow : style.shadow * (1 - square))
    }
  }
}

/// Everything on the street of one scene, in no order.
func streetObjects(_ plan: StreetPlan, _ style: SceneStyle, _ random: inout RandomStream) -> [SceneObject] {
  var objects: [SceneObject] = []
  addTraffic(plan, style, to: &objects, &random)
  for side in plan.sides {
    if side.parking { addParked(side, plan, style, to: &objects, &random) }
    addTrees(side, plan, style, to: &objects, &random)
    addPosts(side, plan, style, to: &objects, &random)
    addSigns(side, plan, style, to: &objects, &random)
    addPeople(side, plan, style, to: &objects, &random)
  }
  addCrossing(plan, style, to: &objects, &random)
  return objects
}

private func vehicle(
  _ kind: VehicleKind, leaving: Bool, z: Float, x: Float, _ style: SceneStyle, _ random: inout RandomStream
) -> SceneObject {
  let vehicle = Vehicle(kind, leaving: leaving, style, &random)
  return SceneObject(z, shadow: (x, vehicle.width / 2, vehicle.length / 2)) {
    vehicle.paint(z: z, x: x, style, on: &$0)
  }
}

private func anyKind(_ random: inout RandomStream) -> VehicleKind {
  let draw = random.nextUniform()
  return draw < 0.12 ? .bus : (draw < 0.26 ? .truck : (draw < 0.5 ? .van : .saloon))
}

/// Vehicles and riders in the lanes.
private func addTraffic(
  _ plan: StreetPlan, _ style: SceneStyle, to objects: inout [SceneObject], _ random: inout RandomStream
) {
  let clean = plan.domain == .source
  for lane in -plan.lanesLeft...plan.lanesRight {
    let leaving = lane >= 0 || (plan.lanesLeft == 2 && lane == -1)
    var z = random.nextUniform(in: lane == 0 ? 9...26 : 6...30)
    while z < 90 {
      let kind = anyKind(&random)
      let x = Float(lane) * plan.laneWidth + random.nextUniform(in: -0.25...0.25)
      objects.append(vehicle(kind, leaving: leaving, z: z, x: x, style, &random))
      z += (kind == .bus ? 13 : 9) + random.nextUniform(in: clean ? 10...45 : 4...30)
    }
  }
  if random.chance(clean ? 0.45 : 0.6) {
    // Between the lane and the kerb or the parked cars.
    let x = (Float(plan.lanesRight) + 0.5) * plan.laneWidth - 0.3
    addRider(motor: random.chance(0.35), z: random.nextUniform(in: 7...20), x: x, style, to: &objects, &random)
  }
  if random.chance(0.25) {
    addRider(motor: true, z: random.nextUniform(in: 8...22), x: -plan.laneWidth * 0.55, style, to: &objects, &random)
  }
}

private func addRider(
  motor: Bool, z: Float, x: Float, _ style: SceneStyle, to objects: inout [SceneObject], _ random: inout RandomStream
) {
  let wheels = TwoWheeler(motor: motor, style, &random)
  let figure = Figure(style, &random)
  objects.append(
    SceneObject(z, shadow: (x, 0.3, 0.9)) {
      wheels.paint(z: z, x: x, style, on: &$0)
      figure.paintRiding(z: z, x: x, seat: wheels.seat, style, on: &$0)
    })
}

private func addParked(
  _ side: StreetSide, _ plan: StreetPlan, _ style: SceneStyle, to objects: inout [SceneObject],
  _ random: inout RandomStream
) {
  var z = random.nextUniform(in: 5...12)
  while z < 80 {
    let x = side.sign * (side.kerb - 1.1 + random.nextUniform(in: -0.1...0.1))
    let kind: VehicleKind = random.chance(0.04) ? .truck : (random.chance(0.35) ? .van : .saloon)
    if random.chance(plan.domain == .source ? 0.6 : 0.8) && !plan.crosses(z + 3, margin: 8) {
      objects.append(vehicle(kind, leaving: side.sign > 0, z: z, x: x, style, &random))
    }
    z += (kind == .truck ? 9.5 : 5.4) + random.nextUniform(in: 0...1.5)
  }
}

private func addTrees(
  _ side: StreetSide, _ plan: StreetPlan, _ style: SceneStyle, to objects: inout [SceneObject],
  _ random: inout RandomStream
) {
  guard random.chance(0.5) else { return }
  let clean = plan.domain == .source
  let gap = random.nextUniform(in: 8...14)
  let x = side.sign * ((side.verge > side.kerb + 0.5 ? (side.kerb + side.verge) / 2 : side.verge) + 0.35)
  var z = random.nextUniform(in: 8...16)
  while z < min(110, plan.end) {
    if !plan.crosses(z, margin: 3) && random.chance(clean ? 1 : 0.7) {
      let tree = Tree(style, &random)
      let (x, z) = (x, z)
      objects.append(
        SceneObject(z, shadow: (x, tree.shadowRadius, 1.4)) { tree.paint(z: z, x: x, style, on: &$0) })
    }
    z += clean ? gap : gap * random.nextUniform(in: 0.6...1.7)
  }
}

/// Lamp posts at even distances, bollards and plain posts in the fuller streets.
private func addPosts(
  _ side: StreetSide, _ plan: StreetPlan, _ style: SceneStyle, to objects: inout [SceneObject],
  _ random: inout RandomStream
) {
  let clean = plan.domain == .source
  let colour = random.pick(style.posts)
  let height = random.nextUniform(in: 6...8.5)
  let width = random.nextUniform(in: 0.16...0.24)
  let gap = random.nextUniform(in: clean ? 18...24 : 14...26)
  let x = side.sign * (side.kerb + 0.45)
  var z = random.nextUniform(in: 9...22)
  while z < 90 {
    let place = z
    let arm = random.chance(0.8) ? -side.sign * random.nextUniform(in: 0.9...2) : 0
    if !plan.crosses(z, margin: 1) {
      objects.append(
        SceneObject(place, shadow: (x, 0.25, 0.25)) {
          paintPost(z: place, x: x, height: height, width: width, arm: arm, colour, style, on: &$0)
        })
    }
    z += clean ? gap : gap * random.nextUniform(in: 0.6...1.5)
  }
  guard random.chance(clean ? 0.15 : 0.45) else { return }
  let bollard = random.nextUniform(in: 0.8...1.1)
  let step = random.nextUniform(in: 1.8...3)
  for index in 0..<9 {
    let place = 9 + Float(index) * step
    if plan.crosses(place) { continue }
    objects.append(
      SceneObject(place) {
        paintPost(
          z: place, x: side.sign * (side.kerb + 0.3), height: bollard, width: 0.14, arm: 0, colour, style, on: &$0)
      })
  }
}

private func addSigns(
  _ side: StreetSide, _ plan: StreetPlan, _ style: SceneStyle, to objects: inout [SceneObject],
  _ random: inout RandomStream
) {
  for _ in 0..<random.whole(plan.domain == .source ? 0...2 : 1...3) {
    let sign = SignStyle(style, &random)
    let colour = random.pick(style.posts)
    let z = random.nextUniform(in: 8...28)
    let x = side.sign * (side.kerb + random.nextUniform(in: 0.35...0.9))
    let bottom = random.nextUniform(in: 1.9...2.5)
    if plan.crosses(z) { continue }
    objects.append(
      SceneObject(z, shadow: (x, 0.2, 0.2)) {
        paintPost(z: z, x: x, height: bottom + 0.5, width: 0.11, arm: 0, colour, style, on: &$0)
        sign.paint(z: z - 0.05, x: x, bottom: bottom, style, on: &$0)
      })
  }
}

/// People on the sidewalk, alone or in pairs, and parked bicycles and motorcycles.
private func addPeople(
  _ side: StreetSide, _ plan: StreetPlan, _ style: SceneStyle, to objects: inout [SceneObject],
  _ random: inout RandomStream
) {
  let clean = plan.domain == .source
  for _ in 0..<random.whole(clean ? 0...3 : 1...6) {
    let figure = Figure(style, &random)
    let z = random.nextUniform(in: 7...26)
    let x = side.sign * random.nextUniform(in: side.verge + 0.3...side.walk - 0.2)
    if plan.crosses(z) { continue }
    objects.append(SceneObject(z, shadow: (x, 0.3, 0.3)) { figure.paint(z: z, x: x, style, on: &$0) })
  }
  for _ in 0..<(random.chance(clean ? 0.25 : 0.4) ? random.whole(1...4) : 0) {
    let wheels = TwoWheeler(motor: random.chance(0.3), style, &random)
    let z = random.nextUniform(in: 8...20)
    let x = side.sign * random.nextUniform(in: side.verge + 0.6...side.walk)
    let direction = random.side()
    if plan.crosses(z) { continue }
    objects.append(
      SceneObject(z, shadow: (x, 0.8, 0.2)) { wheels.paintSideways(z: z, x: x, direction: direction, style, on: &$0) })
  }
}

/// Traffic lights before a crossing street, and who crosses there.
private func addCrossing(
  _ plan: StreetPlan, _ style: SceneStyle, to objects: inout [SceneObject], _ random: inout RandomStream
) {
  let lit = random.whole(0...2)
  let stop = (plan.crossing?.lowerBound ?? random.nextUniform(in: 16...34)) - 1.2
  if plan.crossing != nil || random.chance(0.3) {
    for side in plan.sides { addLight(side, z: stop, lit: lit, style, to: &objects, &random) }
  }
  for _ in 0..<(random.chance(0.5) ? random.whole(1...3) : 0) {
    let figure = Figure(style, &random)
    let z = max(7, stop - random.nextUniform(in: 0.2...1.2))
    let x = random.nextUniform(in: -plan.left.kerb...plan.right.kerb)
    objects.append(SceneObject(z, shadow: (x, 0.3, 0.3)) { figure.paint(z: z, x: x, style, on: &$0) })
  }
  guard let crossing = plan.crossing else { return }
  if random.chance(0.4) {
    let crosser = Vehicle(anyKind(&random), leaving: true, style, &random)
    let z = (crossing.lowerBound + crossing.upperBound) / 2
    let x = random.nextUniform(in: -14...14)
    objects.append(
      SceneObject(z, shadow: (x, crosser.length / 2, 0.9)) { crosser.paintSideways(z: z, x: x, style, on: &$0) })
  }
  if random.chance(0.4) {
    let wheels = TwoWheeler(motor: random.chance(0.3), style, &random)
    let figure = Figure(style, &random)
    let z = crossing.lowerBound + 0.6
    let x = random.nextUniform(in: -8...8)
    let direction = random.side()
    objects.append(
      SceneObject(z, shadow: (x, 0.8, 0.3)) {
        wheels.paintSideways(z: z, x: x, direction: direction, style, on: &$0)
        figure.paintRidingSideways(z: z, x: x, seat: wheels.seat, direction: direction, style, on: &$0)
      })
  }
}

private func addLight(
  _ side: StreetSide, z: Float, lit: Int, _ style: SceneStyle, to objects: inout [SceneObject],
  _ random: inout RandomStream
) {
  let x = side.sign * (side.kerb + 0.5)
  let colour = random.pick(style.posts)
  let overhead = random.chance(0.4)
  let facing = random.chance(0.8)
  objects.append(
    SceneObject(z, shadow: (x, 0.25, 0.25)) {
      let arm = overhead ? -side.sign * (side.kerb - 1.2) : 0
      paintPost(z: z, x: x, height: overhead ? 5.9 : 2.5, width: 0.17, arm: arm, colour, style, on: &$0)
      paintTrafficLight(z: z - 0.05, x: x, bottom: 2.4, lit: lit, facing: facing, style, on: &$0)
      if overhead {
        paintTrafficLight(z: z - 0.05, x: x + arm, bottom: 4.9, lit: lit, facing: facing, style, on: &$0)
      }
    })
}
