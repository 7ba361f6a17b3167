package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// JUnit writes a JUnit test suite. Each file that has an aws-auth, an EKS resource or an error is a test case. JUnit keeps all cases in
// memory until End, because the number of cases is at the beginning of the suite.
type JUnit struct {
	w                       io.Writer
	cases                   bytes.Buffer
	tests, failures, errors int
}

// NewJUnit returns a JUnit that writes to w.
func NewJUnit(w io.Writer) *JUnit { return &JUnit{w: w} }

// suiteName is the name of the test suite in the output.
const suiteName = "awsauth-guard"

type junitCase struct {
	XMLName xml.Name      `xml:"testcase"`
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Error   *junitOutcome `xml:"error"`
	Failure *junitOutcome `xml:"failure"`
	Output  string        `xml:"system-out,omitempty"` // warnings
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// Add adds a test case for a file. It ignores a file that has no aws-auth, no EKS resource and no error. Add combines
// all denials into one failure, because most programs that read JUnit files show only the first failure of a case.
func (j *JUnit) Add(f File) error {
	if f.Objects == 0 && f.Resources == 0 && len(f.Problems) == 0 {
		return nil
	}
	c := junitCase{Name: OneLine(f.Name), Class: suiteName, File: OneLine(f.Name)}
	var denials, warnings strings.Builder
	denied := 0
	for _, finding := range f.Findings {
		b := &warnings
		if finding.Severity == validate.Deny {
			b = &denials
			denied++
		}
		finding.text(b, string(finding.Severity))
	}
	c.Output = warnings.String()
	if denied > 0 {
		j.failures++
		c.Failure = &junitOutcome{count(denied, "denial"), string(validate.ActionDeny), denials.String()}
	}
	if len(f.Problems) > 0 {
		var b strings.Builder
		for _, p := range f.Problems {
			b.WriteString(p.String() + "\n")
		}
		j.errors++
		c.Error = &junitOutcome{"the file could not be evaluated", "error", b.String()}
	}
	j.tests++
	e := xml.NewEncoder(&j.cases)
	e.Indent("    ", "  ")
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("encoding XML: %w", err)
	}
	j.cases.WriteByte('\n')
	return nil
}

// End writes the test suite.
func (j *JUnit) End(Total) error {
	head := fmt.Sprintf("%s<testsuites>\n  <testsuite name=%q tests=\"%d\" failures=\"%d\" errors=\"%d\">\n", xml.Header, suiteName, j.tests, j.failures, j.errors)
	if _, err := io.WriteString(j.w, head); err != nil {
		return err
	}
	if _, err := j.cases.WriteTo(j.w); err != nil {
		return err
	}
	_, err := io.WriteString(j.w, "  </testsuite>\n</testsuites>\n")
	return err
}
