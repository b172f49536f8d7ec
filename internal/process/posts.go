package process

import "context"

// Posts are who does what only one may do, by the books of both stores. One that is
// dead or cut off is in there until another has taken over.
type Posts struct {
	Owners []string // of the partitions, by name; "" when there was none yet
	Epochs []int64  // under which
	Leader string   // of the schedulers; "" when none leads
}

// Posts answers who has which post now.
func (p *Process) Posts(ctx context.Context) (Posts, error) {
	owners, err := p.ledger.Owners(ctx)
	if err != nil {
		return Posts{}, err
	}
	var posts Posts
	for _, o := range owners {
		posts.Owners, posts.Epochs = append(posts.Owners, o.Name), append(posts.Epochs, o.Epoch)
	}
	posts.Leader, err = p.store.Leader(ctx)
	return posts, err
}
