package sale

// A sale that is found broken is suspended: it sells nothing more until an operator has
// looked at it and resumes it. Both are requests in its stream, so everybody agrees which
// requests came before:
//
//	bid, reserve, claim, join, a change of slot to it,    rejected as suspended
//	its seller's change, its payout
//	pay for a hold, cancel, refund                        go on: who has something of it keeps it, or gives it back
//	opening, holds that end, closing                      go on: time does not stop
//	the waiting line                                      stands still: what is freed stays free until the sale is
//	                                                      resumed, which serves the line at once
//
// A payment that comes too late buys nothing, as if no unit were free. The refund window
// does not grow longer by it, and escrow stays where it is until the sale is resumed: so a
// closed sale may be suspended, too. One that is not open yet sells nothing, and its seller
// may still change or delete it, so it cannot be.

// suspend decides a suspend or a resume. Asked for what is so already, nothing happens.
func (d *decider) suspend(s *working, e Entry) Outcome {
	switch {
	case e.Buyer != 0: // refused at the edge, where nobody can ask for it
		return rejected(NotYours)
	case s.now.Phase == Scheduled:
		return rejected(NotOpen)
	}
	s.now.Suspended = e.Verb == Suspend
	d.promote(s, e.ID.At)
	return Outcome{Status: Confirmed}
}

// Shown is the state of s as people see it at t. What time says comes first.
func (s *Stand) Shown(t Instant) Shown {
	shown := s.ShownAt(t, s.Free)
	if s.Suspended && (shown == ShownOpen || shown == ShownSoldOut) {
		return ShownSuspended
	}
	return shown
}
