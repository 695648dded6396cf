"""A second reader of LIBERO's moments, contact by contact and name by name, that the fast one is compared with."""

import numpy as np
from nora_bench.envs.moments import Moment


def read_plainly(scene, roles, closing):
    """The `Moment` of the scene as it is; parts of fixtures are those of the goal's terms that move no object."""
    model, data, inner = scene.model, scene.data, scene.inner
    gripper = data.site_xpos[scene.arm.site].copy()
    bodies = [inner.obj_body_id[name] for name in roles.objects]
    touching = [*_contacts(scene)]
    seen = [{side for geom, side in touching if geom in inner.get_object(name).contact_geoms} for name in roles.objects]
    parts = [_joints(scene, term) for term, role in zip(scene.goal.text, roles.terms, strict=True) if role.wanted is None]
    places = [_centres(model, data, joints) for joints in parts if joints]
    return Moment(
        gripper,
        closing,
        np.array([[*data.xpos[body], *data.xquat[body]] for body in bodies]),
        np.array([bool(sides) for sides in seen], bool),
        np.array([{"left", "right"} <= sides for sides in seen], bool),
        np.array([bool(inner._eval_predicate(term)) for term in scene.goal.text], bool),
        np.array([_target(scene, term, role) for term, role in zip(scene.goal.text, roles.terms, strict=True)]),
        np.array([data.joint(joints[0]).qpos[0] for joints in parts if joints]),
        np.array([any(geom in names for geom, _ in touching) for names, _ in places], bool),
        np.array([min(np.linalg.norm(place - gripper) for place in centres) for _, centres in places]),
    )


def _contacts(scene):
    """Name of the touched geom and the touching side of the hand, for every contact of the gripper."""
    model, gripper = scene.model, scene.robot.gripper
    sides = dict.fromkeys(gripper.contact_geoms, "hand")
    for side in ("left", "right"):
        names = [*gripper.important_geoms[f"{side}_finger"], *gripper.important_geoms[f"{side}_fingerpad"]]
        sides |= dict.fromkeys(names, side)
    for contact in scene.data.contact:
        pair = [model.geom(geom).name for geom in contact.geom]
        for name, other in (pair, pair[::-1]):
            if name in sides:
                yield other, sides[name]


def _joints(scene, term):
    state = scene.inner.object_states_dict[term[1]]
    is_site = state.object_state_type == "site"
    owner = scene.inner.object_sites_dict[state.object_name] if is_site else scene.inner.get_object(state.object_name)
    return list(owner.joints)


def _centres(model, data, joints):
    bodies = {model.jnt_bodyid[model.joint(joint).id] for joint in joints}
    geoms = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] in bodies]
    return {model.geom(geom).name for geom in geoms}, [data.geom_xpos[geom] for geom in geoms]


def _target(scene, term, role):
    if role.wanted is None:
        return [np.nan] * 3
    state = scene.inner.object_states_dict[term[2]]
    if state.object_state_type == "site":
        return scene.data.site(state.object_name).xpos.copy()
    return scene.data.xpos[scene.inner.obj_body_id[term[2]]].copy()
