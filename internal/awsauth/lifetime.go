package awsauth

import "fmt"

// OwnerReference returns an owner reference in the form KIND/NAME (UID), or KIND/NAME if uid is empty. [Object.Owners]
// holds texts of this form.
func OwnerReference(kind, name, uid string) string {
	if uid == "" {
		return kind + "/" + name
	}
	return kind + "/" + name + " (" + uid + ")"
}

// addLifetime sets Finalizers, Owners and Deleting from the metadata of a manifest.
func (o *Object) addLifetime(metadata map[string]any) {
	finalizers, _ := metadata["finalizers"].([]any)
	for _, finalizer := range finalizers {
		o.Finalizers = append(o.Finalizers, fmt.Sprint(finalizer))
	}
	owners, _ := metadata["ownerReferences"].([]any)
	for _, owner := range owners {
		fields, _ := owner.(map[string]any)
		text := func(name string) string {
			value, _ := fields[name].(string)
			return value
		}
		o.Owners = append(o.Owners, OwnerReference(text("kind"), text("name"), text("uid")))
	}
	o.Deleting = metadata["deletionTimestamp"] != nil
}
