package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestRefusesData(t *testing.T) {
	for code, want := range map[string]bool{
		"21000": true, "22003": true, "22001": true, "23505": true, "23514": true, "23503": true, "27000": true, "44000": true, "P0001": true, "54000": true,

		"08006": false, "25006": false, "25P03": false, "40001": false, "40P01": false, "53100": false, "53300": false, "55P03": false, "57014": false,
		"57P01": false, "58030": false, "XX001": false, "0A000": false, "26000": false, "28P01": false, "3D000": false, "42501": false, "42703": false,
		"54001": false, "": false, "2": false,
	} {
		err := fmt.Errorf("settle partition 3: write: %w", &pgconn.PgError{Code: code})
		if RefusesData(err) != want {
			t.Errorf("%s: %v", code, !want)
		}
	}
	for _, err := range []error{nil, io.ErrUnexpectedEOF, context.DeadlineExceeded, errors.New("write: statement 2 touched 0 rows, not 1"), ErrPlaces, ErrFenced, ErrMoved, &Short{}} {
		if RefusesData(err) {
			t.Errorf("%v is not about data", err)
		}
	}
}
