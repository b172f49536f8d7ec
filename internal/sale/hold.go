package sale

// The way of a reservation, and of a seat:
//
//	reserve ──▶ held ── pay ──▶ confirmed ── cancel ──▶ cancelled, paid back
//	   │         │  └── cancel, pay_by ──▶ cancelled, expired
//	   │         ▼                              │
//	   │       free units ◀─────────────────────┘
//	   ▼         │ promote: the first in line, at once, with a fresh pay_by
//	waiting ─────┘

// advance lets the sale's own events up to t happen, each at its own time: opening,
// holds that end, closing. At one moment the closing comes first: who would be
// promoted then, would be at a moment that does not count any more.
//
// Up to the closing, all happens that anybody's outcome may depend on. What is due
// after it, those who still wait and holds that live on, changes nothing for anybody
// else: it is left to ticks, and to whoever asks about one of these receipts.
//
// A tick moves TickMost receipts, and goes no further when it has, since it cannot
// know whether the state shows more.
func (d *decider) advance(s *working, t Instant, tick bool) {
	most := len(d.Effects.Moves) + TickMost
	full := func() bool { return tick && len(d.Effects.Moves) >= most }

	if s.now.Phase == Scheduled && t >= s.now.OpensAt {
		s.now.Phase = PhaseOpen
	}
	if s.now.Phase == PhaseOpen {
		for s.due(min(t, s.now.ClosesAt-1)) && !full() {
			d.expire(s, d.at(s.holds[0]))
		}
		if t < s.now.ClosesAt || full() {
			return
		}
		s.now.Phase = PhaseClosed
	}
	if s.now.Phase != PhaseClosed || !tick {
		return
	}
	for s.now.Waiting > 0 && !full() {
		if len(s.line) == 0 {
			s.short = true
			return
		}
		d.turnAway(s, d.at(s.line[0].Place))
	}
	for s.due(t) && !full() {
		d.expire(s, d.at(s.holds[0]))
	}
}

// due says whether a hold ends by t.
func (s *working) due(t Instant) bool { return len(s.holds) > 0 && s.holds[0].At <= t }

// at answers the receipt at a place: see stand, which lets no other place in.
func (d *decider) at(p Place) Receipt {
	r, _ := d.receipt(p.Receipt)
	return r
}

// overtaken lets happen to one receipt what is due for it at t, though no tick has
// come to it yet, and answers it as it stands then.
func (d *decider) overtaken(s *working, r Receipt, t Instant) Receipt {
	switch {
	case r.Status == Held && r.PayBy <= t:
		d.expire(s, r)
	case r.Status == Waiting && s.now.Phase == PhaseClosed:
		d.turnAway(s, r)
	default:
		return r
	}
	r, _ = d.receipt(r.ID)
	return r
}

// expire ends a hold that was not paid, at its own time.
func (d *decider) expire(s *working, r Receipt) {
	d.let(s, r, Expired, r.PayBy)
	d.promote(s, r.PayBy)
}

// turnAway rejects a receipt that waits when the sale closes.
func (d *decider) turnAway(s *working, r Receipt) {
	r.Reason = Closed
	d.let(s, r, Rejected, s.now.ClosesAt)
}

// let ends what r has: a hold, a place in the line, or bought units. The units of
// the first and the last are free then, and the coupon of any.
func (d *decider) let(s *working, r Receipt, status Status, at Instant) {
	from := r.Status
	switch from {
	case Held:
		s.unhold(r)
		s.now.Free += r.Quantity
	case Waiting:
		s.unqueue(r)
	case Confirmed:
		s.now.Sold -= r.Quantity
		s.now.Free += r.Quantity
	}
	s.buyers[r.Buyer] -= r.Quantity
	d.release(r, at)
	r.Status = status
	d.move(r, from, at)
}
