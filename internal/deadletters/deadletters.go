// Package deadletters is what an operator sees of entries that could not be settled
// as what they ask: those that could not be read, and poison, which Postgres refused
// for its data. The receipt of each is rejected as internal, and that is final. The
// letter keeps the request, so that it can be asked once more when the cause is
// gone, or be dropped.
package deadletters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// All is the partition that stands for all of them.
const All = -1

const pageMost = 100

// What an operator may be told.
var (
	ErrNone       = errors.New("there is no such dead letter")
	ErrWhich      = errors.New("several partitions have a dead letter with this ID: say which partition")
	ErrPartition  = errors.New("there is no such partition")
	ErrUnreadable = errors.New("the entry cannot be read, so nobody knows what it asks: a later version of sluice may be able to")
)

// Causes of letters that have none written in them.
const (
	causeUnreadable = "cannot be read"
	causeUnknown    = "not known any more: the consumer that found it died; its log says why"
)

// Letters are the dead letters of all partitions.
type Letters struct {
	store   *partition.Store
	backlog int64
}

// New answers the dead letters of store. A partition with more than backlog requests
// queued takes none back.
func New(store *partition.Store, backlog int64) *Letters { return &Letters{store, backlog} }

// Letter is one dead letter.
type Letter struct {
	ID        string    `json:"id"` // within its partition
	Partition int       `json:"partition"`
	Receipt   uuid.UUID `json:"receipt"`        // all zeros when not even that could be read
	Sale      int64     `json:"sale,omitempty"` // 0: not known; so is Buyer, and "" for Verb
	Buyer     int64     `json:"buyer,omitempty"`
	Verb      string    `json:"verb,omitempty"`
	Quantity  int64     `json:"quantity,omitempty"` // units
	Price     int64     `json:"price,omitempty"`    // points per unit, of a bid
	Trace     string    `json:"request_id,omitempty"`
	Cause     string    `json:"cause"`
	Attempts  int       `json:"attempts"` // to settle it; 0: none, or not known any more
	Asked     time.Time `json:"asked"`    // when it was admitted
	Died      time.Time `json:"died"`     // when it was given up
	AgeMS     int64     `json:"age_ms"`   // since then, by this machine's clock

	Payload map[string]string `json:"-"` // the fields of its entry, not meant for eyes

	at sale.EntryID // its ID
}

// List answers the dead letters of a partition, or of All, each partition's oldest
// first.
func (l *Letters) List(ctx context.Context, p int) ([]Letter, error) {
	partitions, err := l.within(p)
	if err != nil {
		return nil, err
	}
	letters := []Letter{}
	for _, p := range partitions {
		for after, more := (sale.EntryID{}), true; more; {
			page, err := l.store.DeadList(ctx, p, after, pageMost)
			if err != nil {
				return nil, err
			}
			for _, dead := range page {
				letter, err := l.tell(ctx, p, dead)
				if err != nil {
					return nil, err
				}
				letters, after = append(letters, letter), dead.ID
			}
			more = len(page) == pageMost
		}
	}
	return letters, nil
}

// Show answers one dead letter. p may be All if only one partition has that ID.
func (l *Letters) Show(ctx context.Context, p int, id string) (Letter, error) {
	p, dead, err := l.find(ctx, p, id)
	if err != nil {
		return Letter{}, err
	}
	return l.tell(ctx, p, dead)
}

// Replay admits the request of a dead letter once more, under a receipt of its own,
// and drops the letter. The receipt comes from the letter: whoever replays it again,
// since the first reply was lost, gets the same one and asks for nothing more.
// A *sale.Refusal says why it was not admitted; then the letter stays.
func (l *Letters) Replay(ctx context.Context, p int, id string) (uuid.UUID, error) {
	p, dead, err := l.find(ctx, p, id)
	if err != nil {
		return uuid.Nil, err
	}
	request := dead.Entry.Request
	if request.Verb == 0 || request.Verb == sale.Rebuilt {
		return uuid.Nil, ErrUnreadable
	}
	request.Receipt = sale.KeyedReceiptID(p, request.Buyer, request.Sale, request.Verb, fmt.Sprintf("dead letter %s of %s", dead.ID, request.Receipt))
	// Whether it still counts is decided in its turn, like everything else.
	if _, err := l.store.Admit(ctx, p, request, partition.Anytime, partition.Limits{Backlog: l.backlog}); err != nil {
		return uuid.Nil, err
	}
	if err := l.store.DropDead(ctx, p, dead.ID); err != nil && !errors.Is(err, sale.ErrUnknown) {
		return request.Receipt, fmt.Errorf("replayed as receipt %s, but the letter is still there: %w", request.Receipt, err)
	}
	return request.Receipt, nil
}

// Drop forgets a dead letter, and with it what was asked.
func (l *Letters) Drop(ctx context.Context, p int, id string) error {
	p, dead, err := l.find(ctx, p, id)
	if err != nil {
		return err
	}
	if err := l.store.DropDead(ctx, p, dead.ID); errors.Is(err, sale.ErrUnknown) {
		return ErrNone
	} else if err != nil {
		return err
	}
	return nil
}

func (l *Letters) within(p int) ([]int, error) {
	switch {
	case p == All:
		all := make([]int, l.store.Partitions())
		for i := range all {
			all[i] = i
		}
		return all, nil
	case p < 0 || p >= l.store.Partitions():
		return nil, fmt.Errorf("%w: %d of %d", ErrPartition, p, l.store.Partitions())
	}
	return []int{p}, nil
}

// find answers the one letter with this ID.
func (l *Letters) find(ctx context.Context, p int, id string) (int, partition.DeadLetter, error) {
	var found []partition.DeadLetter
	where := 0
	entry, err := sale.ParseEntryID(id)
	if err != nil {
		return 0, partition.DeadLetter{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	partitions, err := l.within(p)
	if err != nil {
		return 0, partition.DeadLetter{}, err
	}
	for _, p := range partitions {
		dead, err := l.store.Dead(ctx, p, entry)
		switch {
		case errors.Is(err, sale.ErrUnknown):
			continue
		case err != nil:
			return 0, partition.DeadLetter{}, err
		}
		found, where = append(found, dead), p
	}
	switch len(found) {
	case 0:
		return 0, partition.DeadLetter{}, ErrNone
	case 1:
		return where, found[0], nil
	}
	return 0, partition.DeadLetter{}, ErrWhich
}

// tell puts a dead letter into an operator's words. Of one that cannot be read its
// receipt may still know something.
func (l *Letters) tell(ctx context.Context, p int, dead partition.DeadLetter) (Letter, error) {
	e := dead.Entry
	letter := Letter{
		ID: dead.ID.String(), Partition: p, Receipt: e.Receipt, Sale: e.Sale, Buyer: e.Buyer, Verb: e.Verb.String(),
		Quantity: e.Quantity, Price: e.Price, Trace: e.Trace, Cause: dead.Cause, Attempts: dead.Attempts,
		Asked: e.ID.At.Time(), Died: dead.ID.At.Time(), AgeMS: max(time.Since(dead.ID.At.Time()).Milliseconds(), 0), Payload: dead.Payload,
		at: dead.ID,
	}
	if e.Verb == 0 && e.Receipt != uuid.Nil {
		known, err := l.store.Receipt(ctx, p, e.Receipt)
		if err != nil && !errors.Is(err, sale.ErrUnknown) {
			return letter, err
		}
		letter.Sale, letter.Buyer, letter.Verb, letter.Quantity = known.Sale, known.Buyer, known.Verb.String(), known.Quantity
	}
	switch {
	case letter.Cause != "":
	case e.Verb == 0:
		letter.Cause = causeUnreadable
	default:
		letter.Cause = causeUnknown
	}
	return letter, nil
}
