package ledger

import "fmt"

// Short says that the state of a batch shows too little of the lines of these
// sales to decide it. Nothing is settled: it must be viewed again with more.
type Short struct{ Sales []int64 }

func (s *Short) Error() string {
	return fmt.Sprintf("short: more of the lines of sales %v is needed", s.Sales)
}
