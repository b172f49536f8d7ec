package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Spoiled is an alert with one thing wrong.
type Spoiled struct {
	Wrong string // what
	Rule
}

// spoiler finds something in a node that could be wrong: what that is, and how to make it
// so. Nothing: "".
type spoiler func(n parser.Node) (wrong string, do func())

// Spoil answers an alert in every way in which it could be a little wrong: a measure a tenth
// higher or lower, a comparison the other way round, a condition or a label that nobody
// looks at, one aggregation for another, a patience that is none or twice as long; and one
// that always fires, and one that never does.
func Spoil(r Rule) ([]Spoiled, error) {
	expr, err := Parse(r.Expr)
	if err != nil {
		return nil, err
	}
	all := []Spoiled{{"it always fires", with(r, "vector(1)")}, {"it never fires", with(r, "vector(1) > 1")}}
	if r.For > 0 {
		for _, patience := range []time.Duration{0, 2 * time.Duration(r.For)} {
			other := r
			other.For = model.Duration(patience)
			all = append(all, Spoiled{fmt.Sprintf("for is %s", patience), other})
		}
	}
	for _, measure := range measures(expr) {
		for _, other := range []float64{measure * 0.9, measure * 1.1} {
			expr, err := Parse(r.Expr)
			if err != nil {
				return nil, err
			}
			for _, n := range nodes(expr) { // the same measure means the same wherever it stands
				if literal, ok := n.(*parser.NumberLiteral); ok && literal.Val == measure {
					literal.Val = other
				}
			}
			all = append(all, Spoiled{fmt.Sprintf("%v is %.4g", measure, other), with(r, expr.String())})
		}
	}
	for _, spoil := range []spoiler{noughts, turned, leftOut(true), leftOut(false), blind, ungrouped, otherwise} {
		for at := 0; ; at++ {
			expr, err := Parse(r.Expr)
			if err != nil {
				return nil, err
			}
			wrong := spoilAt(expr, at, spoil)
			if wrong == "" {
				break
			}
			all = append(all, Spoiled{wrong, with(r, expr.String())})
		}
	}
	return all, nil
}

func with(r Rule, expr string) Rule {
	r.Expr = expr
	return r
}

func nodes(expr parser.Expr) (all []parser.Node) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if n != nil {
			all = append(all, n)
		}
		return nil
	})
	return all
}

// spoilAt spoils the at-th of the nodes in which there is something to spoil, and says
// what; "" when there are not so many.
func spoilAt(expr parser.Expr, at int, spoil spoiler) string {
	for _, n := range nodes(expr) {
		wrong, do := spoil(n)
		if wrong == "" {
			continue
		}
		if at == 0 {
			do()
			return wrong
		}
		at--
	}
	return ""
}

// measures are the numbers of an expression, each once. A nought is a state and no measure.
func measures(expr parser.Expr) (all []float64) {
	for _, n := range nodes(expr) {
		if n, ok := n.(*parser.NumberLiteral); ok && n.Val != 0 && !slices.Contains(all, n.Val) {
			all = append(all, n.Val)
		}
	}
	return all
}

func noughts(n parser.Node) (string, func()) {
	literal, ok := n.(*parser.NumberLiteral)
	if !ok || literal.Val != 0 {
		return "", nil
	}
	return "0 is 1000", func() { literal.Val = 1000 }
}

func turned(n parser.Node) (string, func()) {
	b, ok := n.(*parser.BinaryExpr)
	if !ok {
		return "", nil
	}
	other, ok := map[parser.ItemType]parser.ItemType{
		parser.GTR: parser.LTE, parser.GTE: parser.LSS, parser.LSS: parser.GTE, parser.EQLC: parser.NEQ,
	}[b.Op]
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("%s is %s", b.Op, other), func() { b.Op = other }
}

// leftOut leaves out one side of an and, or, unless. Where the other is only asked whether
// it is there, it cannot stand alone.
func leftOut(left bool) spoiler {
	return func(n parser.Node) (string, func()) {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || !b.Op.IsSetOperator() || left && (b.Op == parser.LUNLESS || b.VectorMatching.On) {
			return "", nil
		}
		kept, dropped := b.LHS, b.RHS
		if left {
			kept, dropped = b.RHS, b.LHS
		}
		return fmt.Sprintf("%s is not asked for", dropped), func() {
			*b = parser.BinaryExpr{Op: parser.MUL, LHS: &parser.ParenExpr{Expr: kept}, RHS: &parser.NumberLiteral{Val: 1}}
		}
	}
}

// blind looks at all series of a metric that is asked for some.
func blind(n parser.Node) (string, func()) {
	v, ok := n.(*parser.VectorSelector)
	if !ok || len(v.LabelMatchers) < 2 {
		return "", nil
	}
	return fmt.Sprintf("%s is all of %s", v, v.Name), func() {
		v.LabelMatchers = slices.DeleteFunc(v.LabelMatchers, func(m *labels.Matcher) bool { return m.Name != model.MetricNameLabel })
	}
}

func ungrouped(n parser.Node) (string, func()) {
	a, ok := n.(*parser.AggregateExpr)
	if !ok || len(a.Grouping) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s of all alike", a.Op), func() { a.Grouping = nil }
}

func otherwise(n parser.Node) (string, func()) {
	a, ok := n.(*parser.AggregateExpr)
	if !ok {
		return "", nil
	}
	other, ok := map[parser.ItemType]parser.ItemType{parser.MAX: parser.MIN, parser.MIN: parser.MAX}[a.Op]
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("%s is %s: %s", a.Op, other, a), func() { a.Op = other }
}
