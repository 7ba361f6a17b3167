package chain_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

var mapCount = flag.Int("maps", 3, "generated maps to move to access entries")

// TestMigrationKeepsTheLogins moves generated maps to access entries by the plan of kubectl awsauth migrate. Callers whose principals are moved
// log in with the same username, groups and admin rights as before: in mode API_AND_CONFIG_MAP, in mode API, and after the entries are removed
// from aws-auth. In mode API, the other callers can't log in: those that the plan leaves to a person, and those that had no access.
func TestMigrationKeepsTheLogins(t *testing.T) {
	s := &state{T: t, random: rand.New(rand.NewPCG(*seed, 1)), model: firstModel()}
	s.chain = startLogins(t, write(s.random, s.model, 0))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the authenticator's log ends\n%s", s.program.LogEnd())
		}
	})
	moved := 0
	for range *mapCount {
		s.model = firstModel()
		for range 1 + s.random.IntN(6) {
			s.model = nextModel(s.random, s.model)
		}
		moved += s.moveMap()
	}
	fmt.Fprintf(t.Output(), "seed %d: %d maps, %d moved callers, %d logins\n", *seed, *mapCount, moved, s.logins)
	if moved == 0 {
		t.Error("the plans moved the principal of no caller, so the test checked nothing")
	}
}

// set changes aws-auth, the mode and the access entries, and waits until the authenticator has read them. data is the exact text of aws-auth,
// because another text of the same model may give other access.
func (s *state) set(data map[string]string, mode access.Mode, entries []access.AccessEntry) {
	s.Helper()
	s.stamp++
	if _, err := s.admin(s.T).Update(s.Context(), configMap(data), metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	canary := ekstest.Entry(principalOf(callers[entryCanaryCaller].arn))
	canary.Username = fmt.Sprintf("canary-entry-%d", s.stamp)
	entries = append(slices.Clone(entries), canary)
	s.eks.Set(mode, entries...)
	s.authenticator.setEntries(s.T, entries)
	s.authenticator.setMode(s.T, mode)
	s.settle()
	// The authenticator may change the mode between the logins of the two canaries, and then reads aws-auth again. So wait once more.
	s.settle()
}

// loginAll logs all callers in, except the canaries.
func (s *state) loginAll() (users [canaryCaller]*access.User) {
	for i := range users {
		users[i] = s.login(s.T, i)
		s.logins++
	}
	return users
}

// moveMap moves the entries of s.model to access entries, and checks the logins. It returns the number of callers whose principals are moved.
func (s *state) moveMap() int {
	s.stamp++
	data := write(s.random, s.model, s.stamp)
	s.set(data, access.ModeConfigMap, nil)
	before := s.loginAll()
	object := s.stored(s.T)
	document := object.Parse()
	plan := migrate.New(migrate.Input{Document: document, IAM: s.lookUp(document), Account: ekstest.Account, Partition: "aws"})
	moves := make(map[string]migrate.Move)
	s.eks.Set(access.ModeAPIAndConfigMap)
	client, err := eks.New(s.Context(), ekstest.Name, "", nil)
	if err != nil {
		s.Fatal(err)
	}
	for _, m := range plan.Move {
		if m.PrincipalARN == callers[canaryCaller].arn {
			continue // keeps its entry, because its login shows whether the authenticator reads aws-auth
		}
		moves[awsauth.PrincipalKey(m.PrincipalARN)] = m
		if made, err := client.Create(s.Context(), m.AccessEntry()); err != nil || !m.SameAs(&made) {
			s.Fatalf("EKS made %+v of %+v: %v", made, m, err)
		}
	}
	entries, moved := s.eks.Entries(), 0
	for i := range before {
		if _, ok := moves[awsauth.PrincipalKey(principalOf(callers[i].arn))]; ok {
			moved++
		}
	}
	for _, step := range []struct {
		name string
		mode access.Mode
		data map[string]string
	}{
		{"with both", access.ModeAPIAndConfigMap, data},
		{"in mode API", access.ModeAPI, data},
		{"without the entries of aws-auth", access.ModeAPIAndConfigMap, write(s.random, generate.Model{}, s.stamp+1)},
	} {
		s.set(step.data, step.mode, entries)
		after := s.loginAll()
		for i := range after {
			m, ok := moves[awsauth.PrincipalKey(principalOf(callers[i].arn))]
			want, got := describe(before[i]), describe(after[i])
			switch {
			case ok:
				got = describe(asMoved(after[i], &m))
			case step.name != "with both":
				want = describe(nil) // the plan leaves the principal to a person, or the caller had no access
			case document.Map.Resolve(callers[i].arn).Ambiguous:
				continue // for each request, the authenticator picks one of several entries at random
			}
			if got != want {
				s.Errorf("%s, %s logged in as %s before, and as %s after\nthe plan: %+v\naws-auth: %q", step.name, callers[i].arn, want, got, plan, object.Data)
			}
		}
	}
	return moved
}

// lookUp stands in for lookups in IAM. It returns the principals of aws-auth and of the callers. In IAM, the roles have a path, and the ARNs of
// the callers' principals have the upper and lower case of the callers.
func (s *state) lookUp(document *awsauth.Document) map[string]migrate.Found {
	found := make(map[string]migrate.Found)
	add := func(arn string) {
		found[awsauth.PrincipalKey(arn)] = migrate.Found{ARN: strings.Replace(arn, ":role/", ":role/team/", 1)}
	}
	for _, p := range document.Map.Principals() {
		arn, err := awsauth.ParseARN(p.ARN)
		if err != nil {
			s.Fatal(err)
		}
		add(arn.String())
	}
	for i := range callers {
		add(principalOf(callers[i].arn))
	}
	return found
}

// asMoved adds those groups of aws-auth to a user for which the access entry has an access policy or a type instead, because EKS gives their
// rights by the policy or the type. So the user can be compared with the user before the move.
func asMoved(u *access.User, m *migrate.Move) *access.User {
	if u == nil {
		return nil
	}
	made := access.User{Username: u.Username, Groups: slices.Clone(u.Groups)}
	if len(m.Policies) > 0 {
		made.Groups = append(made.Groups, masters)
	}
	switch m.Type {
	case "EC2_LINUX":
		made.Groups = append(made.Groups, access.BootstrappersGroup)
	case "EC2_WINDOWS":
		made.Groups = append(made.Groups, access.BootstrappersGroup, access.WindowsProxyGroup)
	case "FARGATE_LINUX":
		made.Groups = append(made.Groups, access.BootstrappersGroup, access.FargateProxyGroup)
	}
	return &made
}

// describe returns a user as text, with the groups in order and without duplicates. The API server keeps each group once.
func describe(u *access.User) string {
	if u == nil {
		return "none"
	}
	return access.User{Username: u.Username, Groups: sorted(u.Groups)}.String()
}
