#version 450
// Colour of a surface under an ambient and up to three directional lights, and the number of the entity that it belongs to.
// Lambert's diffuse lobe and a GGX one (Karis 2013, "Real Shading in Unreal Engine 4"), gamma 1 / 2.2: what SAPIEN's
// default raster shaders compute without an environment map. Blocks and names are SAPIEN's interface.

layout(constant_id = 0) const int NUM_DIRECTIONAL_LIGHTS = 3;
layout(constant_id = 1) const int NUM_DIRECTIONAL_LIGHT_SHADOWS = 0;

layout(set = 0, binding = 0) uniform CameraBuffer {
  mat4 viewMatrix;
  mat4 projectionMatrix;
  mat4 viewMatrixInverse;
  mat4 projectionMatrixInverse;
  float width;
  float height;
} cameraBuffer;

layout(set = 1, binding = 0) uniform ObjectTransformBuffer {
  mat4 modelMatrix;
} objectTransformBuffer;

layout(set = 1, binding = 1) uniform ObjectDataBuffer {
  uvec4 segmentation;
  float transparency;
  int shadeFlat;
} objectDataBuffer;

layout(set = 2, binding = 0) uniform MaterialBuffer {
  vec4 emission;
  vec4 baseColor;
  float fresnel;
  float roughness;
  float metallic;
  float transmission;
  float ior;
  float transmissionRoughness;
  int textureMask;
  int padding1;
  vec4 textureTransforms[6];
} materialBuffer;

layout(set = 2, binding = 1) uniform sampler2D colorTexture;
layout(set = 2, binding = 2) uniform sampler2D roughnessTexture;
layout(set = 2, binding = 3) uniform sampler2D normalTexture;
layout(set = 2, binding = 4) uniform sampler2D metallicTexture;
layout(set = 2, binding = 5) uniform sampler2D emissionTexture;
layout(set = 2, binding = 6) uniform sampler2D transmissionTexture;

struct PointLight {
  vec4 position;
  vec4 emission;
};

struct DirectionalLight {
  vec4 direction;
  vec4 emission;
};

struct SpotLight {
  vec4 position;
  vec4 direction;
  vec4 emission;
};

struct LightBuffer {
  mat4 viewMatrix;
  mat4 viewMatrixInverse;
  mat4 projectionMatrix;
  mat4 projectionMatrixInverse;
  int width;
  int height;
};

layout(set = 3, binding = 0) uniform SceneBuffer {
  vec4 ambientLight;
  PointLight pointLights[10];
  DirectionalLight directionalLights[3];
  SpotLight spotLights[10];
  SpotLight texturedLights[1];
} sceneBuffer;

layout(set = 3, binding = 1) uniform ShadowBuffer {
  LightBuffer pointLightBuffers[60];
  LightBuffer directionalLightBuffers[3];
  LightBuffer spotLightBuffers[10];
  LightBuffer texturedLightBuffers[1];
} shadowBuffer;

layout(set = 3, binding = 2) uniform samplerCube samplerPointLightDepths[10];
layout(set = 3, binding = 3) uniform sampler2D samplerDirectionalLightDepths[3];
layout(set = 3, binding = 4) uniform sampler2D samplerSpotLightDepths[10];
layout(set = 3, binding = 5) uniform sampler2D samplerTexturedLightDepths[1];
layout(set = 3, binding = 6) uniform sampler2D samplerTexturedLightTextures[1];

layout(location = 0) in vec3 inPlace;
layout(location = 1) in vec3 inNormal;
layout(location = 2) in vec2 inUV;

layout(location = 0) out vec4 outColor;
layout(location = 1) out uvec4 outSegmentation;

const float PI = 3.141592653589793;

vec2 moved(vec2 uv, vec4 transform) { return uv * transform.zw + transform.xy; }

// Share of a light's intensity that a surface sends to the eye; all directions point away from the surface.
vec3 reflected(vec3 normal, vec3 eye, vec3 light, vec3 albedo, vec3 fresnel, float roughness) {
  vec3 middle = light + eye;
  middle = dot(middle, middle) < 1e-6 ? vec3(0) : normalize(middle);
  float nm = clamp(dot(normal, middle), 1e-6, 1), em = clamp(dot(eye, middle), 1e-6, 1);
  float nl = clamp(dot(normal, light), 0, 1), ne = clamp(dot(normal, eye), 1e-6, 1);
  float alpha = roughness * roughness, alpha2 = alpha * alpha, k = (alpha + 2 * roughness + 1) / 8;
  float spread = nm * nm * (alpha2 - 1) + 1;
  vec3 mirrored = fresnel + (1 - fresnel) * pow(2.0, (-5.55473 * em - 6.98316) * em);
  float below = clamp(4 * PI * spread * spread * (ne * (1 - k) + k) * (nl * (1 - k) + k), 1e-6, 4 * PI);
  return nl * (albedo / PI + alpha2 * mirrored / below);
}

// Share of a directional light that nothing holds up: the mean of 5 x 5 interpolated looks into its depth map, which weighs
// 6 x 6 texels: those in the middle by 1, the first and last row and column by how much of them lies within.
float visible(sampler2D depthMap, LightBuffer map) {
  vec4 place = map.projectionMatrix * map.viewMatrix * cameraBuffer.viewMatrixInverse * vec4(inPlace, 1);
  place /= place.w;
  vec2 at = place.xy * 0.5 + 0.5;
  float size = textureSize(depthMap, 0).x;
  vec2 part = fract(at * size + 0.5);
  float sum = 0;
  for (int y = 0; y < 3; ++y) {
    vec2 rows = vec2(y == 0 ? 1 - part.y : 1, y == 2 ? part.y : 1);
    for (int x = 0; x < 3; ++x) {
      vec2 columns = vec2(x == 0 ? 1 - part.x : 1, x == 2 ? part.x : 1);
      vec4 depths = textureGather(depthMap, at + vec2(2 * x - 2, 2 * y - 2) / size);
      vec4 free = vec4(greaterThanEqual(depths, vec4(place.z)));
      sum += rows.x * dot(columns, free.wz) + rows.y * dot(columns, free.xy);
    }
  }
  return sum / 25;
}

// A directional light's part of a surface's colour. Only a literal index of a sampler is safe: software drivers also execute
// what fragments skip that have returned or are discarded, and look the sampler up with whatever a variable then holds.
#define LIGHT(i) \
  if (i < NUM_DIRECTIONAL_LIGHTS) { \
    vec3 light = -(mat3(cameraBuffer.viewMatrix) * sceneBuffer.directionalLights[i].direction.xyz); \
    vec3 share = reflected(normal, eye, light, albedo, fresnel, materialBuffer.roughness); \
    if (i < NUM_DIRECTIONAL_LIGHT_SHADOWS && dot(normal, light) > 0) { \
      share *= visible(samplerDirectionalLightDepths[i], shadowBuffer.directionalLightBuffers[i]); \
    } \
    colour += share * sceneBuffer.directionalLights[i].emission.rgb; \
  }

void main() {
  outSegmentation = objectDataBuffer.segmentation;
  outColor = vec4(0, 0, 0, 1);
  vec4 base = materialBuffer.baseColor;
  if ((materialBuffer.textureMask & 1) != 0) {
    base = texture(colorTexture, moved(inUV, materialBuffer.textureTransforms[0]));
  }
  if (base.a == 0) discard;
  if (materialBuffer.transmission > 0) return;  // a photograph will cover it (render.py)

  vec3 emission = materialBuffer.emission.rgb * materialBuffer.emission.a;
  if ((materialBuffer.textureMask & 16) != 0) {
    emission *= texture(emissionTexture, moved(inUV, materialBuffer.textureTransforms[4])).rgb;
  }
  vec3 eye = -normalize(inPlace), normal = normalize(inNormal);
  normal = faceforward(normal, inPlace, normal);
  float metallic = materialBuffer.metallic;
  vec3 albedo = base.rgb * (1 - metallic);
  vec3 fresnel = vec3(0.08 * materialBuffer.fresnel * (1 - metallic)) + base.rgb * metallic;

  vec3 colour = emission + sceneBuffer.ambientLight.rgb * base.rgb;
  LIGHT(0)
  LIGHT(1)
  LIGHT(2)
  outColor.rgb = clamp(pow(colour, vec3(1 / 2.2)), 0, 1);
}
