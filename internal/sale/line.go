package sale

// The waiting line is first come, first served. One who waits for more units than
// are free may be passed by others behind him that they are enough for: at most
// MaxBypass times, and only from within the first BypassReach in line. A new request
// counts as standing at its end.

// promote gives free units to the first in line whose turn it is, as long as there
// are any. Promotion never charges: where something is to be paid, it holds. While the
// sale is suspended nobody's turn comes.
func (d *decider) promote(s *working, at Instant) {
	for s.now.Phase == PhaseOpen && !s.now.Suspended && s.now.Free > 0 && s.now.Waiting > 0 {
		i, found := s.next()
		if !found {
			return
		}
		d.pass(s, i, at)
		r := d.at(s.line[i].Place)
		s.unqueue(r)
		s.now.Free -= r.Quantity
		if s.now.Kind == Reservation || r.Cost() > 0 {
			r.Status, r.PayBy = Held, at.Add(s.now.Hold)
			s.hold(r)
		} else {
			r.Status = Confirmed
			s.now.Sold += r.Quantity
		}
		d.move(r, Waiting, at)
	}
}

// next finds whom the free units go to: his index in the line.
func (s *working) next() (int, bool) {
	for i := range BypassReach {
		switch {
		case i == len(s.line):
			s.short = s.short || s.beyond > 0
			return 0, false
		case s.line[i].quantity <= s.now.Free:
			return i, true
		case s.line[i].passed >= s.now.MaxBypass:
			return 0, false
		}
	}
	return 0, false
}

// pass counts that the first n in line were passed.
func (d *decider) pass(s *working, n int, at Instant) {
	for _, w := range s.line[:n] {
		r := d.at(w.Place)
		w.passed++
		r.Passed = w.passed
		d.move(r, Waiting, at)
	}
}

// mayPass says whether a new request for so many units may be served at once: there
// are enough, and nobody waits whom it must not pass.
func (s *working) mayPass(units int64) bool {
	switch {
	case units > s.now.Free:
		return false
	case s.now.Waiting == 0:
		return true
	case s.now.MaxBypass == 0, s.now.Waiting >= BypassReach:
		return false
	case s.beyond > 0:
		s.short = true
		return false
	}
	for _, w := range s.line {
		if w.passed >= s.now.MaxBypass {
			return false
		}
	}
	return true
}
