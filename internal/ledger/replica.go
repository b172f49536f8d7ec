package ledger

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// replica is a hot standby that may answer what need not be of this moment.
//
// How far it is behind is measured, by nobody's clock but ours. Every now and then the
// primary is asked how far its log is on disk; a standby that has replayed it up to there
// has all that was committed before the question, since nobody here commits without
// waiting for the disk. (In memory the log may be longer, and reach no standby before the
// next commit.) So whoever reads there asks in the same transaction whether it has come to
// a place that the primary was at no longer ago than the bound, and takes the answer only
// if it has. A standby that is promoted is none any more, and one of another history, or
// of another primary, never was.
type replica struct {
	pool  *pgxpool.Pool
	bound time.Duration
	stop  context.CancelFunc
	ended chan struct{}

	mu       sync.Mutex
	line     string // the primary's system and timeline: its history
	marks    []mark // where its log ended, the oldest first, back to the bound
	fit      bool   // when it was last looked at the standby was one of this history, and near enough
	lag      time.Duration
	lagKnown bool
}

// mark is how far the primary's log was on disk, at some time after at.
type mark struct {
	at  time.Time
	end string // pg_lsn
}

const (
	// looks is how often at least within the bound both are looked at.
	looks = 4
	// replicaPatience is how long a standby may take over an answer that the primary
	// has too.
	replicaPatience = 2 * time.Second
)

// errBehind says that a standby has not got what it must have.
var errBehind = errors.New("behind: the replica has not come so far")

// openReplica begins to look after the standby. That it is away is no error.
func openReplica(l *Ledger, config *pgxpool.Config, bound time.Duration) (*replica, error) {
	config.ConnConfig.ConnectTimeout = time.Second
	config.AfterRelease = nil // that a session cannot write is right here
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{pool: pool, bound: bound, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		tick := time.NewTicker(min(max(bound/looks, 10*time.Millisecond), time.Second))
		defer tick.Stop()
		for {
			r.look(ctx, l.pool)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return r, nil
}

func (r *replica) close() {
	r.stop()
	<-r.ended
	r.pool.Close()
}

// look asks both servers where they are.
func (r *replica) look(ctx context.Context, primary *pgxpool.Pool) {
	ctx, cancel := context.WithTimeout(ctx, replicaPatience)
	defer cancel()
	m := mark{at: time.Now()}
	var line string
	if err := primary.QueryRow(ctx, `
		select
			pg_current_wal_flush_lsn()::text,
			(select system_identifier from pg_control_system())::text || ' ' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8)`).
		Scan(&m.end, &line); err != nil {
		return // the marks that there are grow old
	}
	ends := r.note(m, line)
	// The timeline of a standby is that of the last checkpoint it has replayed: after a
	// failover it is not trusted before it has one of the new primary's.
	var newest int
	var same bool
	err := r.pool.QueryRow(ctx, `
		select
			pg_is_in_recovery()
				and $2 = (select system_identifier from pg_control_system())::text || ' '
					|| lpad(upper(to_hex((select timeline_id from pg_control_checkpoint()))), 8, '0'),
			(select count(*) from unnest($1::text[]) as m where m::pg_lsn <= pg_last_wal_replay_lsn())`, ends, line).
		Scan(&same, &newest)
	r.judge(err == nil && same, newest)
}

// note keeps a mark, and answers all that are young enough.
func (r *replica) note(m mark, line string) (ends []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line != r.line {
		r.line, r.marks, r.fit = line, nil, false
	}
	r.marks = append(r.marks, m)
	for len(r.marks) > 1 && time.Since(r.marks[1].at) > r.bound { // one beyond, to tell how far behind it is
		r.marks = r.marks[1:]
	}
	for _, m := range r.marks {
		ends = append(ends, m.end)
	}
	return ends
}

// judge says whether the standby is one, and how many of the marks it has passed.
func (r *replica) judge(same bool, passed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fit, r.lagKnown = same && passed > 0, same
	if !same {
		return
	}
	if passed == 0 {
		r.lag = max(r.lag, time.Since(r.marks[0].at)) // at least
		return
	}
	r.lag = time.Since(r.marks[min(passed, len(r.marks))-1].at)
}

// past answers the place that the standby must have come to, "" when it is not to be
// asked: no mark is young enough, or it did not do when it was looked at.
func (r *replica) past() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fit {
		return ""
	}
	for _, m := range r.marks {
		if time.Since(m.at) <= r.bound {
			return m.end
		}
	}
	return ""
}

// unfit keeps others from asking until it has been looked at again.
func (r *replica) unfit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fit = false
}

// behind answers how far it is behind at most, as far as that is known.
func (r *replica) behind() (lag time.Duration, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lag, r.lagKnown
}

// hasCome asks a standby whether it has come to that place, and is one.
const hasCome = `
	select coalesce(pg_is_in_recovery() and pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)`

// come reads the answer.
func come(row pgx.Row) error {
	var has bool
	if err := row.Scan(&has); err != nil {
		return err
	}
	if !has {
		return errBehind
	}
	return nil
}
