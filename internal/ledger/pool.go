package ledger

import "time"

// Pool is how the pool of connections is.
type Pool struct {
	InUse, Idle, Max int64
	Waits            int64         // times that somebody waited, since none was idle
	Waited           time.Duration // for how long, all together
	Ended            int64         // sessions of a pooler that were ended, since they refused to write
}

// Pool answers that.
func (l *Ledger) Pool() Pool {
	stats := l.pool.Stat()
	return Pool{
		InUse: int64(stats.AcquiredConns() + stats.ConstructingConns()), Idle: int64(stats.IdleConns()), Max: int64(stats.MaxConns()),
		Waits: stats.EmptyAcquireCount(), Waited: stats.EmptyAcquireWaitTime(), Ended: l.ended.Load(),
	}
}

// ColdReads answers how often cold reads were answered, and by whom.
func (l *Ledger) ColdReads() ColdReads {
	return ColdReads{Replica: l.reads.replica.Load(), Primary: l.reads.primary.Load()}
}

// ReplicaLag answers how far the replica is behind at most, and whether that is known: it
// answers, and is one of this primary. Where there is none nothing is behind.
func (l *Ledger) ReplicaLag() (time.Duration, bool) {
	if l.replica == nil {
		return 0, true
	}
	return l.replica.behind()
}
