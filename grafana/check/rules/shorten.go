package rules

import (
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// Scrapes is how many scrapes the shortest window of a shortened rule holds: fewer, and
// one that comes late leaves a rate without a value.
const Scrapes = 4

// Shorten answers the rules for a Prometheus that scrapes and evaluates every so often:
// each `for`, window, step and offset is shorter by the factor, but no window than
// Scrapes scrapes; and all groups are evaluated alike. Nothing else is different: not a
// threshold, not a label, not a condition.
func (f File) Shorten(factor int, every time.Duration) (File, error) {
	short, err := f.Map(func(r Rule) (Rule, error) {
		expr, err := Parse(r.Expr)
		if err != nil {
			return r, err
		}
		window := func(d time.Duration) time.Duration {
			return max((d / time.Duration(factor)).Round(time.Millisecond), Scrapes*every)
		}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.MatrixSelector:
				n.Range = window(n.Range)
			case *parser.SubqueryExpr:
				n.Range = window(n.Range)
				n.Step /= time.Duration(factor)
				n.OriginalOffset /= time.Duration(factor)
			case *parser.VectorSelector:
				n.OriginalOffset /= time.Duration(factor)
			}
			return nil
		})
		r.Expr = expr.String()
		r.For = model.Duration((time.Duration(r.For) / time.Duration(factor)).Round(time.Millisecond))
		return r, nil
	})
	for i := range short.Groups {
		short.Groups[i].Interval = 0
	}
	return short, err
}
